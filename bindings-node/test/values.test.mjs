import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { open, OpenDB } from 'opendb'
import { database, directory, texts, thrown } from './helper.mjs'

test('a value comes back as a Buffer, an absent one as undefined', (context) => {
  const db = database(context)
  db.put('user:123', 'Alice')
  const value = db.get('user:123')
  assert.ok(Buffer.isBuffer(value))
  assert.equal(value.toString(), 'Alice')
  assert.equal(db.get('user:124'), undefined)
  assert.equal(db.getString('user:123'), 'Alice')
  assert.equal(db.getString('user:124'), undefined)
})

test('many keys are read with one call, in their order', (context) => {
  const db = database(context)
  const snapshot = db.snapshot()
  for (let number = 0; number < 100; number++) db.put(`key ${number}`, `value ${number}`)
  db.put('at the border', Buffer.alloc(4096, 1))
  db.put('large', Buffer.alloc(4097, 2))
  db.put('empty', '')
  const asked = ['key 99', 'absent', Buffer.from('key 3'), 'large', 'at the border', 'large', 'empty', 'key 3']
  const single = asked.map((key) => db.get(key))
  assert.deepEqual(db.getMany(asked), single)
  assert.ok(single[0] !== undefined && single[1] === undefined && single[6].length === 0)
  const all = Array.from({ length: 100 }, (_, number) => `key ${number}`)
  assert.deepEqual(db.getMany(all).map(String), all.map((key) => key.replace('key', 'value')))
  assert.deepEqual(db.getMany([]), [])
  assert.deepEqual(snapshot.getMany(['key 1', 'key 2']), [undefined, undefined])
  db.transaction((txn) => {
    txn.put('default', 'own', 'mine')
    txn.delete('default', 'key 1')
    assert.deepEqual(txn.getMany('default', ['own', 'key 1', 'key 2']).map((value) => value?.toString()), [
      'mine',
      undefined,
      'value 2',
    ])
  })
  assert.equal(thrown('OPENDB_INVALID_ARGUMENT', () => db.getMany('key 1')).message, 'invalid argument: keys must be an array of keys')
  thrown('OPENDB_INVALID_ARGUMENT', () => db.getMany(['key 1', 5]))
  thrown('OPENDB_INVALID_ARGUMENT', () => db.getMany(['k'.repeat(65536)]))
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => db.beginTransaction().getMany('nowhere', []))
  // A value that its owner changes is changed nowhere else.
  const [first, second] = db.getMany(['key 2', 'key 3'])
  first.fill(0)
  assert.equal(second.toString(), 'value 3')
  assert.equal(db.getString('key 2'), 'value 2')
})

test('strings, Buffers and Uint8Arrays name the same key', (context) => {
  const db = database(context)
  db.put(new Uint8Array([0x6b, 0xc3, 0xa4]), new Uint8Array([0, 1, 255]))
  assert.deepEqual(db.get('kä'), Buffer.from([0, 1, 255]))
  assert.deepEqual(db.get(Buffer.from('kä')), Buffer.from([0, 1, 255]))
})

test('a view of a larger buffer is only what it shows', (context) => {
  const db = database(context)
  const whole = Buffer.from('..key..value..')
  db.put(whole.subarray(2, 5), new Uint8Array(whole.buffer, whole.byteOffset + 7, 5))
  assert.equal(db.getString('key'), 'value')
})

test('bytes in shared memory are taken as they are at the call', (context) => {
  const db = database(context)
  const shared = new Uint8Array(new SharedArrayBuffer(3))
  shared.set([1, 2, 3])
  db.put(shared, shared)
  shared.fill(0)
  assert.deepEqual(db.get(Buffer.from([1, 2, 3])), Buffer.from([1, 2, 3]))
})

test('empty keys and empty values are keys and values', (context) => {
  const db = database(context)
  db.put('', '')
  assert.deepEqual(db.get(''), Buffer.alloc(0))
  assert.equal(db.getString(''), '')
  assert.equal(db.exists(''), true)
  assert.equal(db.size, 1)
})

test('values around the size of the room they are read through', (context) => {
  const db = database(context)
  for (const length of [1, 4095, 4096, 4097, 70_000, 3 << 20]) {
    const value = Buffer.alloc(length, length)
    db.put('key', value)
    assert.ok(value.equals(db.get('key')), `${length} bytes`)
    assert.equal(db.getString('key'), value.toString(), `${length} bytes as text`)
  }
})

test('a value that was handed out stays as it is', (context) => {
  const db = database(context)
  db.put('a', 'first')
  db.put('b', 'other')
  const value = db.get('a')
  db.get('b')
  db.put('a', 'second')
  assert.equal(value.toString(), 'first')
  value.fill(0)
  assert.equal(db.getString('a'), 'second')
})

test('a key has at most 65,535 bytes', (context) => {
  const db = database(context)
  db.put(Buffer.alloc(65_535), 'long')
  assert.equal(db.getString(Buffer.alloc(65_535)), 'long')
  thrown('OPENDB_INVALID_ARGUMENT', () => db.put(Buffer.alloc(65_536), ''))
  thrown('OPENDB_INVALID_ARGUMENT', () => db.get(Buffer.alloc(65_536)))
})

test('delete removes a key, and an absent one is no error', (context) => {
  const db = database(context)
  db.put('key', 'value')
  db.delete('key')
  db.delete('key')
  assert.equal(db.exists('key'), false)
  assert.equal(db.get('key'), undefined)
})

test('size counts the keys of the keyspace', (context) => {
  const db = database(context)
  assert.equal(db.size, 0)
  db.put('a', '1')
  db.put('a', '2')
  db.put('b', '3')
  db.delete('absent')
  db.keyspace('other').put('c', '4')
  assert.equal(db.size, 2)
})

test('a write takes its durability', (context) => {
  const db = database(context, { durability: 'sync' })
  db.put('a', '1', { durability: 'buffered' })
  db.put('b', '2', { durability: 'sync' })
  db.put('c', '3', { durability: undefined })
  db.delete('a', { durability: 'sync' })
  assert.deepEqual(texts(db.iter()), [['b', '2'], ['c', '3']])
})

test('keyspaces are apart from each other', (context) => {
  const db = database(context)
  const users = db.keyspace('users')
  assert.equal(users.name, 'users')
  users.put('key', 'in users')
  db.put('key', 'in default')
  assert.equal(users.getString('key'), 'in users')
  assert.equal(db.keyspace('users').getString('key'), 'in users')
  assert.equal(db.keyspace('default').getString('key'), 'in default')
  users.delete('key')
  assert.equal(users.exists('key'), false)
  assert.equal(users.size, 0)
  assert.equal(db.exists('key'), true)
  db.keyspace('a')
  assert.deepEqual(db.keyspaces(), ['a', 'default', 'users'])
})

test('what was written is there when the directory is opened again', (context) => {
  const path = directory(context)
  const first = open(path)
  first.put('key', 'value')
  first.close()
  const second = new OpenDB(pathToFileURL(path))
  assert.equal(second.getString('key'), 'value')
  second.close()
})

test('opened twice in one process, it is one database', (context) => {
  const first = database(context)
  const second = OpenDB.open(first.path)
  second.put('key', 'value')
  second.close()
  assert.equal(first.getString('key'), 'value')
})

test('without create, a missing database is an error and nothing is made', (context) => {
  const path = `${directory(context)}/missing`
  const error = thrown('OPENDB_IO', () => open(path, { create: false }))
  assert.match(error.message, /missing/)
  thrown('OPENDB_IO', () => open(path, { create: false }))
})

test('every option is taken', (context) => {
  const db = database(context, {
    create: true,
    durability: 'buffered',
    append: 'write',
    mappedReads: false,
    cacheBytes: 0,
    segmentBytes: 1 << 20,
    readDamaged: false,
    readOnly: false,
    lockTimeout: 1000,
  })
  db.put('key', 'value')
  assert.equal(db.getString('key'), 'value')
})

test('a size of segments outside the limits is refused by the core', (context) => {
  const path = directory(context)
  thrown('OPENDB_INVALID_ARGUMENT', () => open(path, { segmentBytes: 1 }))
  thrown('OPENDB_INVALID_ARGUMENT', () => open(path, { segmentBytes: 2 ** 40 }))
})

test('stats has every number', (context) => {
  const db = database(context)
  db.put('key', 'value')
  const { append, poisoned, recovery, writeAmplification, spaceAmplification, ...counts } = db.stats()
  assert.ok(['auto', 'mapped', 'write'].includes(append))
  assert.equal(poisoned, false)
  assert.ok(writeAmplification >= 1 && spaceAmplification >= 1)
  const names = [
    ...['keys', 'keyspaces', 'segments', 'logBytes', 'liveBytes', 'deadBytes', 'allocatedBytes', 'bytesAppended'],
    ...['bytesCopied', 'bytesCheckpointed', 'bytesHinted', 'bytesOrdered', 'compactions', 'checkpoints', 'largeBytes'],
    ...['largeLiveBytes', 'lastSequence', 'durableSequence', 'syncs', 'snapshots', 'oldestSnapshotSeconds'],
    ...['pinnedBytes', 'versions', 'versionsBytes', 'indexBytes', 'orderBytes', 'orderRuns', 'orderFileBytes'],
    ...['cacheBytes', 'cacheHits', 'cacheMisses', 'cacheAdmissions'],
  ]
  assert.deepEqual(Object.keys(counts), names)
  for (const [name, count] of Object.entries(counts)) assert.ok(Number.isSafeInteger(count), name)
  const { clean, damaged, ...found } = recovery
  assert.equal(typeof clean, 'boolean')
  assert.deepEqual(damaged, [])
  assert.deepEqual(Object.keys(found), ['frames', 'framesRewritten', 'bytesDropped', 'tornSegment', 'tornOffset'])
})

test('keys and values of every length around the room they share come back as they were put', (context) => {
  const db = database(context)
  const text = (length) => 'x'.repeat(length)
  for (const keyBytes of [1, 100, 1365, 1366, 4095, 4096, 4097, 8192]) {
    for (const valueBytes of [0, 1, 1023, 1024, 1025, 4096 - keyBytes, 4097 - keyBytes, 4096, 4097, 10_000]) {
      if (valueBytes < 0) continue
      const [key, value] = [Buffer.alloc(keyBytes, 1), Buffer.alloc(valueBytes, 2)]
      db.put(key, value)
      db.put(text(keyBytes), text(valueBytes))
      assert.deepEqual(db.get(key), value)
      assert.equal(db.getString(text(keyBytes)), text(valueBytes))
    }
    assert.ok(db.exists(Buffer.alloc(keyBytes, 1)))
    db.delete(Buffer.alloc(keyBytes, 1))
    assert.ok(!db.exists(Buffer.alloc(keyBytes, 1)))
  }
})

test('a value that was given is not changed by later calls', (context) => {
  const db = database(context)
  db.put('one', Buffer.alloc(100, 1))
  db.put('two', Buffer.alloc(100, 2))
  const one = db.get('one')
  const [[key, value]] = db.iter({ prefix: 'one' })
  db.get('two')
  db.put('three', Buffer.alloc(100, 3))
  assert.deepEqual([one, value], [Buffer.alloc(100, 1), Buffer.alloc(100, 1)])
  assert.equal(key.toString(), 'one')
})

test('a class that runs a call of its own when it is asked for its length changes nothing', (context) => {
  const db = database(context)
  const inner = () => db.put('inner', 'another value than that which is being put')
  class Busy extends Uint8Array {
    get length() {
      inner()
      return 1
    }
    get byteLength() {
      inner()
      return 1
    }
  }
  db.put('key', Busy.from([1, 2, 3]))
  db.put(new Busy(Buffer.from('busy')), 'value')
  assert.deepEqual(db.get('key'), Buffer.from([1, 2, 3]))
  assert.equal(db.getString('busy'), 'value')
})

test('a key is read and written in one step', (context) => {
  const db = database(context)
  const logs = db.keyspace('logs')
  assert.equal(db.compareAndSwap('lock', undefined, 'mine'), true)
  assert.equal(db.compareAndSwap('lock', undefined, 'yours'), false)
  assert.equal(db.compareAndSwap('lock', 'mine', '', { durability: 'sync' }), true)
  assert.equal(db.compareAndSwap('lock', new Uint8Array(), undefined), true)
  assert.equal(db.exists('lock'), false)
  logs.put('job', Buffer.alloc(100_000, 7))
  assert.deepEqual(logs.take('job'), Buffer.alloc(100_000, 7))
  assert.equal(logs.take('job', { durability: 'sync' }), undefined)
  logs.put('job', 'small')
  assert.equal(logs.take('job').toString(), 'small')
  for (const wrong of [null, 5, {}]) {
    thrown('OPENDB_INVALID_ARGUMENT', () => db.compareAndSwap('k', wrong, 'v'))
    thrown('OPENDB_INVALID_ARGUMENT', () => db.compareAndSwap('k', undefined, wrong))
  }
  assert.equal(db.size, 0)
})

test('numbers are added to', (context) => {
  const db = database(context)
  assert.equal(db.increment('visits'), 1)
  assert.equal(db.increment('visits', 41, { durability: 'sync' }), 42)
  assert.equal(db.increment('visits', -(2n ** 40n)), 42n - 2n ** 40n)
  assert.equal(db.get('visits').readBigInt64LE(), 42n - 2n ** 40n)
  assert.equal(db.increment('high', 2n ** 63n - 1n), 2n ** 63n - 1n)
  thrown('OPENDB_INVALID_ARGUMENT', () => db.increment('high'))
  assert.equal(db.increment('low', -(2n ** 63n)), -(2n ** 63n))
  assert.equal(db.increment('high', 0n), 2n ** 63n - 1n)
  for (const wrong of [0.5, 2 ** 53, 2n ** 63n, -(2n ** 63n) - 1n, '1', null]) {
    thrown('OPENDB_INVALID_ARGUMENT', () => db.increment('visits', wrong))
  }
  db.put('text', 'words')
  thrown('OPENDB_INVALID_ARGUMENT', () => db.increment('text'))
  assert.equal(db.getString('text'), 'words')
})

test('a value in memory of the caller', (context) => {
  const db = database(context)
  db.put('short', 'value')
  db.put('long', Buffer.alloc(10_000, 7))
  db.put('empty', '')
  const snapshot = db.snapshot()
  for (const store of [db, snapshot]) {
    const target = Buffer.alloc(8, 1)
    assert.equal(store.getInto('short', target), 5)
    assert.equal(target.toString('latin1'), 'value\x01\x01\x01')
    assert.equal(store.getInto('long', target), 10_000)
    assert.equal(store.getInto('short', target.subarray(0, 4)), 5)
    assert.equal(target.toString('latin1'), 'value\x01\x01\x01', 'what does not fit is not copied')
    assert.equal(store.getInto('empty', target), 0)
    assert.equal(store.getInto('absent', target), undefined)
    const large = new Uint8Array(10_000)
    assert.equal(store.getInto('long', large), 10_000)
    assert.ok(large.every((byte) => byte === 7))
    assert.match(thrown('OPENDB_INVALID_ARGUMENT', () => store.getInto('short', 'text')).message, /target must be/)
  }
  snapshot.close()
})
