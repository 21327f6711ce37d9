import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Batch, Keyspace, open, OpenDB, ScanIterator, Snapshot, Transaction } from 'opendb'
import { database, directory, rejected, thrown } from './helper.mjs'

const INVALID = 'OPENDB_INVALID_ARGUMENT'
const notBytes = [
  ...[undefined, null, 5, 5n, true, Symbol('key'), {}, ['k'], () => 'k'],
  ...[new Uint16Array(2), new ArrayBuffer(2), new DataView(new ArrayBuffer(2))],
]
const notNames = [undefined, null, 5, {}, Buffer.from('default')]

/** Every call that takes a key, by the name of its argument. */
function callsWithBytes(db) {
  const transaction = db.beginTransaction()
  const snapshot = db.snapshot()
  const batch = db.batch()
  return {
    'key of get': (bytes) => db.get(bytes),
    'key of getMany': (bytes) => db.getMany(['key', bytes]),
    'key of getString': (bytes) => db.getString(bytes),
    'key of put': (bytes) => db.put(bytes, 'value'),
    'value of put': (bytes) => db.put('key', bytes),
    'key of delete': (bytes) => db.delete(bytes),
    'key of exists': (bytes) => db.exists(bytes),
    'prefix of scanPrefix': (bytes) => db.scanPrefix(bytes),
    'key of snapshot.get': (bytes) => snapshot.get(bytes),
    'key of snapshot.getMany': (bytes) => snapshot.getMany([bytes]),
    'key of snapshot.getString': (bytes) => snapshot.getString(bytes),
    'key of snapshot.exists': (bytes) => snapshot.exists(bytes),
    'prefix of snapshot.scanPrefix': (bytes) => snapshot.scanPrefix(bytes),
    'key of transaction.get': (bytes) => transaction.get('default', bytes),
    'key of transaction.getMany': (bytes) => transaction.getMany('default', [bytes]),
    'key of transaction.getString': (bytes) => transaction.getString('default', bytes),
    'key of transaction.put': (bytes) => transaction.put('default', bytes, 'value'),
    'value of transaction.put': (bytes) => transaction.put('default', 'key', bytes),
    'key of transaction.delete': (bytes) => transaction.delete('default', bytes),
    'key of transaction.exists': (bytes) => transaction.exists('default', bytes),
    'prefix of transaction.scanPrefix': (bytes) => transaction.scanPrefix('default', bytes),
    'key of batch.put': (bytes) => batch.put('default', bytes, 'value'),
    'value of batch.put': (bytes) => batch.put('default', 'key', bytes),
    'key of batch.delete': (bytes) => batch.delete('default', bytes),
  }
}

test('what is not bytes is refused, and told by its name', (context) => {
  const db = database(context)
  for (const [name, call] of Object.entries(callsWithBytes(db))) {
    for (const wrong of notBytes) {
      const error = thrown(INVALID, () => call(wrong))
      const [argument] = name.split(' of ')
      const expected = `invalid argument: ${argument} must be a string, a Buffer or a Uint8Array, not `
      assert.equal(error.message.slice(0, expected.length), expected)
    }
  }
  assert.equal(db.size, 0)
})

/** Strings that have no UTF-8: were they converted all the same, they would all be one key. */
const halves = ['\ud800', '\udfff', 'key \ud83d', '\ude00\ud83d']

test('half of a surrogate pair is refused in keys, values and bounds, and told by its name', async (context) => {
  const db = database(context)
  const calls = callsWithBytes(db)
  for (const bound of ['prefix', 'start', 'end', 'startAfter']) {
    calls[`${bound} of iter`] = (bytes) => db.iter({ [bound]: bytes })
  }
  for (const [name, call] of Object.entries(calls)) {
    for (const half of halves) {
      const [argument] = name.split(' of ')
      const expected = `invalid argument: ${argument} must be well-formed text, `
      assert.equal(thrown(INVALID, () => call(half)).message.slice(0, expected.length), expected)
    }
  }
  await rejected(INVALID, db.putAsync(halves[0], 'value'))
  await rejected(INVALID, db.putAsync('key', halves[0]))
  await rejected(INVALID, db.deleteAsync(halves[0]))
  assert.equal(db.size, 0)
})

test('whole surrogate pairs and U+FFFD itself are text like any other', (context) => {
  const db = database(context)
  for (const text of ['\u{1f600}', '\ufffd', '\0', 'e\u0301']) {
    db.put(text, text)
    assert.equal(db.getString(text), text)
    assert.equal(db.keyspace(text).name, text)
  }
  assert.equal(db.size, 4)
})

test('what is not bytes is refused by promises too', async (context) => {
  const db = database(context)
  for (const wrong of notBytes) {
    await rejected(INVALID, db.putAsync(wrong, 'value'))
    await rejected(INVALID, db.putAsync('key', wrong))
    await rejected(INVALID, db.deleteAsync(wrong))
  }
  assert.equal(db.size, 0)
})

test('messages tell the type of an argument and never its content', (context) => {
  const db = database(context)
  const told = (wrong) => thrown(INVALID, () => db.get(wrong)).message.replace(/^.*, not /, '')
  assert.equal(told(12345), 'a number')
  assert.equal(told(null), 'null')
  assert.equal(told(['secret']), 'an array')
  assert.equal(told({ secret: 1 }), 'an object of Object')
  assert.equal(told(Object.create(null)), 'an object of no class')
  assert.equal(told(new Uint16Array(1)), 'an object of Uint16Array')
})

test('what is not a name of a keyspace is refused', (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  const snapshot = db.snapshot()
  const batch = db.batch()
  const calls = [
    (name) => db.keyspace(name),
    (name) => snapshot.keyspace(name),
    (name) => transaction.get(name, 'key'),
    (name) => transaction.getString(name, 'key'),
    (name) => transaction.put(name, 'key', 'value'),
    (name) => transaction.delete(name, 'key'),
    (name) => transaction.exists(name, 'key'),
    (name) => transaction.scanPrefix(name, ''),
    (name) => transaction.iter(name),
    (name) => transaction.keys(name),
    (name) => batch.put(name, 'key', 'value'),
    (name) => batch.delete(name, 'key'),
  ]
  for (const call of calls) {
    for (const wrong of notNames) {
      const error = thrown(INVALID, () => call(wrong))
      assert.match(error.message, /the keyspace must be a string/)
    }
    for (const half of halves) {
      assert.match(thrown(INVALID, () => call(half)).message, /the keyspace must be well-formed text/)
    }
  }
  assert.deepEqual(db.keyspaces(), ['default'])
  thrown(INVALID, () => db.keyspace(''))
  thrown(INVALID, () => db.keyspace('n'.repeat(256)))
})

test('what is not a path is refused', async () => {
  for (const wrong of [undefined, null, 5, {}, Buffer.from('/tmp'), new URL('https://localhost/')]) {
    assert.match(thrown(INVALID, () => open(wrong)).message, /path must be a string or a file URL/)
    await rejected(INVALID, OpenDB.openAsync(wrong))
  }
})

test('a path that names no directory is refused before anything is made', async (context) => {
  const parent = directory(context)
  const wrong = [
    ['', /path must not be empty/],
    [join(parent, 'a\0b'), /path must not hold a NUL character/],
    [new URL(`file://${parent}/a%00b`), /path must not hold a NUL character/],
    [join(parent, 'a\ud800b'), /path must be well-formed text/],
    [new URL('file://elsewhere/directory'), /path must be a file URL of a directory on this machine/],
    [new URL(`file://${parent}/a%2Fb`), /path must be a file URL of a directory on this machine/],
    [new URL(`file://${parent}/a%FFb`), /path must be a file URL of a directory on this machine/],
  ]
  for (const [path, message] of wrong) {
    assert.match(thrown(INVALID, () => open(path)).message, message)
    assert.match((await rejected(INVALID, OpenDB.openAsync(path))).message, message)
  }
  assert.deepEqual(readdirSync(parent), [])
})

test('an option spelled in another way is told which one was meant', (context) => {
  const path = directory(context)
  const meant = { segment_bytes: 'segmentBytes', CACHEBYTES: 'cacheBytes', 'read-damaged': 'readDamaged' }
  for (const [name, known] of Object.entries(meant)) {
    const { message } = thrown(INVALID, () => open(path, { [name]: 1 }))
    assert.ok(message.includes(`there is no option "${name}": did you mean ${known}? There are create, `), message)
  }
  const db = database(context)
  assert.match(thrown(INVALID, () => db.iter({ start_after: 'a' })).message, /did you mean startAfter\?/)
  assert.match(thrown(INVALID, () => db.put('a', 'b', { Durability: 'sync' })).message, /did you mean durability\?/)
  assert.doesNotMatch(thrown(INVALID, () => db.iter({ from: 'a' })).message, /did you mean/)
})

test('wrong options of open are refused, each told by its name', async (context) => {
  const path = directory(context)
  const wrong = {
    create: [1, 'true', null],
    durability: ['none', 'Sync', true, null],
    append: ['', 'map', 0],
    mappedReads: [0, {}],
    cacheBytes: [-1, 1.5, NaN, Infinity, '64', 10n, 2 ** 53],
    segmentBytes: [-1, '1'],
    readDamaged: ['no'],
    readOnly: [1],
    lockTimeout: [-1, 0.5, '1'],
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const error = thrown(INVALID, () => open(path, { [name]: value }))
      assert.match(error.message, new RegExp(`option ${name} must be`))
    }
  }
  for (const options of [null, 5, 'sync', [], Buffer.alloc(1), () => {}]) {
    assert.match(thrown(INVALID, () => open(path, options)).message, /options must be an object/)
  }
  const error = await rejected(INVALID, OpenDB.openAsync(path, { cacheMegabytes: 5 }))
  assert.match(error.message, /there is no option "cacheMegabytes": use create, durability, append/)
})

test('wrong options of writes are refused before anything is written', async (context) => {
  const db = database(context)
  const wrong = [null, 5, 'sync', { durability: 'none' }, { durable: true }]
  for (const options of wrong) {
    thrown(INVALID, () => db.put('key', 'value', options))
    thrown(INVALID, () => db.delete('key', options))
    thrown(INVALID, () => db.batch().put('default', 'key', 'value').commit(options))
    await rejected(INVALID, db.putAsync('key', 'value', options))
    await rejected(INVALID, db.deleteAsync('key', options))
    await rejected(INVALID, db.batch().put('default', 'key', 'value').commitAsync(options))
    let ran = false
    thrown(INVALID, () => db.transaction(() => (ran = true), options))
    assert.equal(ran, false)
  }
  assert.equal(db.size, 0)
})

test('a transaction survives a wrong option of its commit', async (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.put('default', 'key', 'value')
  thrown(INVALID, () => transaction.commit({ durability: 'none' }))
  await rejected(INVALID, transaction.commitAsync({ durability: 'none' }))
  transaction.commit({ durability: 'sync' })
  assert.equal(db.getString('key'), 'value')
})

test('wrong options of scans are refused', (context) => {
  const db = database(context)
  const snapshot = db.snapshot()
  const transaction = db.beginTransaction()
  const scans = [
    (options) => db.iter(options),
    (options) => db.keys(options),
    (options) => snapshot.iter(options),
    (options) => snapshot.keys(options),
    (options) => transaction.iter('default', options),
    (options) => transaction.keys('default', options),
  ]
  const wrong = [
    ...[null, 5, 'user:', Buffer.from('user:'), []],
    ...[{ prefix: 5 }, { start: null }, { end: {} }, { startAfter: true }],
    ...[{ reverse: 1 }, { limit: -1 }, { limit: 0.5 }, { limit: '5' }, { limit: Infinity }, { from: 'a' }],
  ]
  for (const scan of scans) for (const options of wrong) thrown(INVALID, () => scan(options))
})

test('the work of a transaction must be a function', (context) => {
  const db = database(context)
  for (const wrong of [undefined, null, 5, {}]) {
    thrown(INVALID, () => db.transaction(wrong))
    thrown(INVALID, () => db.transact(wrong))
  }
})

test('only the package makes keyspaces, snapshots, transactions, batches and iterators', () => {
  for (const Class of [Keyspace, Snapshot, Transaction, Batch, ScanIterator]) {
    assert.match(thrown(INVALID, () => new Class()).message, /not made with new: call /)
  }
})
