import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { open } from 'opendb'
import { collected, database, directory, thrown } from './helper.mjs'

const { native } = createRequire(import.meta.url)('../lib/error.cjs')
const ENDED = 'OPENDB_INVALID_ARGUMENT'
const ROUNDS = 500

/** A database with more entries than fit into the first page of a scan. */
function filled(context, options) {
  const db = database(context, options)
  for (let number = 100; number < 200; number++) db.put(`user:${number}`, 'v'.repeat(100))
  return db
}

function refuse() {
  throw new RangeError('on demand')
}

/** What makes one object of the native layer, or some, and ends each. */
const finished = {
  'a scan to its end': (db) => assert.equal(db.scanPrefix('user:').length, 100),
  'a scan of keys to its end': (db) => assert.equal([...db.keys()].length, 100),
  'a scan of nothing': (db) => assert.deepEqual(db.scanPrefix('nobody'), []),
  'a scan with a break': (db) => {
    for (const _entry of db.iter()) break
  },
  'a scan whose loop throws': (db) => assert.throws(() => eachOf(db.iter(), refuse), RangeError),
  'a scan that is returned from': (db) => db.iter().return(),
  'a scan that is disposed of': (db) => db.keys()[Symbol.dispose](),
  'a scan with a wrong option': (db) => thrown(ENDED, () => db.iter({ limit: -1 })),
  'a scan of a keyspace that is not there': (db) => {
    db.transaction((transaction) => thrown('OPENDB_KEYSPACE_NOT_FOUND', () => transaction.iter('none')))
  },
  'a transaction that commits': (db) => {
    const transaction = db.beginTransaction()
    transaction.put('default', 'user:100', 'new')
    transaction.commit()
  },
  'a transaction that rolls back': (db) => db.beginTransaction().rollback(),
  'a transaction that is disposed of': (db) => db.beginTransaction()[Symbol.dispose](),
  'a transaction that conflicts': (db) => {
    const transaction = db.beginTransaction()
    transaction.get('default', 'user:100')
    transaction.put('default', 'other', 'value')
    db.put('user:100', 'newer')
    thrown('OPENDB_TRANSACTION', () => transaction.commit())
  },
  'transaction()': (db) => db.transaction((transaction) => transaction.exists('default', 'user:100')),
  'transaction() whose work throws': (db) => assert.throws(() => db.transaction(refuse), RangeError),
  'transaction() with scans': (db) => {
    db.transaction((transaction) => {
      transaction.scanPrefix('default', 'user:')
      for (const _key of transaction.keys('default')) break
    })
  },
  'transact()': (db) => db.transact((transaction) => transaction.exists('default', 'user:100')),
  'transact() whose work throws': (db) => assert.throws(() => db.transact(refuse), RangeError),
  'transact() with a conflict': (db) => {
    let attempts = 0
    db.transact((transaction) => {
      transaction.get('default', 'user:100')
      transaction.put('default', 'other', 'value')
      if (++attempts < 3) db.put('user:100', 'newer')
    })
    assert.equal(attempts, 3)
  },
  'transact() within transact()': (db) => db.transact(() => db.transact(() => db.transaction(() => {}))),
  'a batch that commits': (db) => db.batch().put('default', 'user:100', 'new').commit(),
  'a batch that is disposed of': (db) => db.batch().put('default', 'user:100', 'new')[Symbol.dispose](),
  'a snapshot that is closed': (db) => db.snapshot().close(),
  'a snapshot of another keyspace': (db) => {
    const snapshot = db.snapshot()
    snapshot.keyspace('default').close()
    thrown('OPENDB_KEYSPACE_NOT_FOUND', () => snapshot.keyspace('none'))
    for (const _entry of snapshot.iter()) break
    assert.equal([...snapshot.keys()].length, 100)
    snapshot.close()
  },
  'a keyspace': (db) => db.keyspace('other').get('key'),
}

function eachOf(iterator, work) {
  for (const entry of iterator) work(entry)
}

for (const [name, run] of Object.entries(finished)) {
  test(`${name} leaves nothing behind, also in a loop that never turns the event loop`, (context) => {
    const db = filled(context)
    // The first round makes the handles that the others use again.
    run(db)
    const before = native.liveObjects()
    for (let round = 0; round < ROUNDS; round++) run(db)
    assert.deepEqual(native.liveObjects(), before)
    assert.equal(db.stats().snapshots, 0)
  })
}

test('a commit on the thread pool leaves nothing behind once it has returned its promise', async (context) => {
  const db = filled(context)
  const run = () => {
    const transaction = db.beginTransaction()
    transaction.put('default', 'user:100', 'new')
    return [transaction.commitAsync(), db.batch().put('default', 'user:101', 'new').commitAsync()]
  }
  await Promise.all(run())
  const before = native.liveObjects()
  const promises = []
  for (let round = 0; round < ROUNDS; round++) promises.push(...run())
  assert.deepEqual(native.liveObjects(), before)
  await Promise.all(promises)
})

test('a scan that meets damage leaves nothing behind', (context) => {
  const db = database(context, { cacheBytes: 0, mappedReads: false, append: 'write' })
  db.put('key', 'in one piece')
  const run = () => {
    const iterator = db.iter()
    thrown('OPENDB_CORRUPTION', () => iterator.next())
    assert.deepEqual(iterator.next(), { done: true, value: undefined })
  }
  for (const name of readdirSync(db.path)) damage(join(db.path, name), 'in one piece')
  run()
  const before = native.liveObjects()
  for (let round = 0; round < ROUNDS; round++) run()
  assert.deepEqual(native.liveObjects(), before)
})

/** Overwrites a text in a file, where it is there. */
function damage(path, text) {
  const at = readFileSync(path).indexOf(text)
  if (at < 0) return
  const file = openSync(path, 'r+')
  writeSync(file, text.toUpperCase(), at)
  closeSync(file)
}

test('a database that is closed holds nothing', (context) => {
  const path = directory(context)
  const before = native.liveObjects().held
  const db = open(path)
  const keyspaces = ['default', 'one', 'two', 'two'].map((name) => db.keyspace(name))
  assert.equal(native.liveObjects().held - before, 4)
  db.close()
  assert.equal(native.liveObjects().held, before)
  for (const keyspace of keyspaces) thrown('OPENDB_CLOSED', () => keyspace.get('key'))
  thrown('OPENDB_CLOSED', () => db.batch())
})

test('pages that were read go with the garbage collector, without a turn of the event loop', (context) => {
  const db = database(context)
  for (let number = 0; number < 16; number++) db.put(`key ${number}`, Buffer.alloc(64 << 10))
  const before = process.memoryUsage().rss
  for (let round = 1; round <= 600; round++) {
    assert.equal(db.scanPrefix('key').length, 16)
    if (round % 50 === 0) globalThis.gc()
  }
  // Of 600 MiB that were read, what the collector is still sweeping. No finer measure sees memory outside its heap.
  assert.ok(process.memoryUsage().rss - before < 300 << 20)
})

test('what was abandoned goes with the garbage collector', async (context) => {
  const db = filled(context)
  const before = native.liveObjects().held
  ;(() => {
    const generator = (function* () {
      yield* db.iter()
    })()
    generator.next()
    db.iter().next()
    db.beginTransaction().put('default', 'key', 'value')
    db.batch().put('default', 'key', 'value')
    db.snapshot().get('key')
  })()
  assert.equal(native.liveObjects().held - before, 5)
  await collected(() => native.liveObjects().held <= before, 'something abandoned')
  assert.equal(db.stats().snapshots, 0)
})

test('after many objects at a time only some handles wait for another use', async (context) => {
  const db = filled(context)
  await collected(() => native.liveObjects().held <= 2, 'something of an earlier test')
  const before = native.liveObjects().handles
  ;(() => {
    const snapshots = Array.from({ length: 3000 }, () => db.snapshot())
    assert.ok(native.liveObjects().handles >= before + 2900)
    for (const snapshot of snapshots) snapshot.close()
  })()
  await collected(() => native.liveObjects().handles <= before + 1024, 'a handle')
})

test('an object that has ended does not reach the one that uses its handle next', (context) => {
  const db = filled(context)
  const [transaction, batch, snapshot, iterator] = [db.beginTransaction(), db.batch(), db.snapshot(), db.iter()]
  let lent
  db.transact((given) => (lent = given))
  transaction.rollback()
  batch[Symbol.dispose]()
  snapshot.close()
  iterator.return()
  const next = [db.beginTransaction(), db.beginTransaction(), db.batch(), db.snapshot(), db.iter()]
  for (const ended of [transaction, lent]) {
    assert.equal(ended.active, false)
    thrown(ENDED, () => ended.put('default', 'key', 'value'))
    thrown(ENDED, () => ended.get('default', 'user:100'))
    thrown(ENDED, () => ended.commit())
    thrown(ENDED, () => ended.rollback())
    ended[Symbol.dispose]()
  }
  thrown(ENDED, () => batch.put('default', 'key', 'value'))
  thrown(ENDED, () => batch.commit())
  batch[Symbol.dispose]()
  thrown(ENDED, () => snapshot.get('user:100'))
  thrown(ENDED, () => snapshot.keyspace('default'))
  snapshot.close()
  iterator.return()
  assert.equal(iterator.next().done, true)
  assert.ok(next[0].active && next[1].active)
  assert.equal(next[2].size, 0)
  assert.equal(next[3].getString('user:100'), 'v'.repeat(100))
  assert.equal([...next[4]].length, 100)
  for (const object of next) object[Symbol.dispose]()
  assert.equal(db.exists('key'), false)
})

test('options that end the object while they are read do not reach another one', (context) => {
  const db = filled(context)
  const transaction = db.beginTransaction()
  let other
  const options = {
    get limit() {
      transaction.rollback()
      other = db.beginTransaction()
      other.put('default', 'key', 'value')
      return 1
    },
  }
  thrown(ENDED, () => transaction.iter('default', options))
  other.rollback()
  const batch = db.batch()
  const ending = {
    get durability() {
      batch[Symbol.dispose]()
      other = db.batch().put('default', 'key', 'value')
      return 'buffered'
    },
  }
  thrown(ENDED, () => batch.commit(ending))
  assert.equal(other.size, 1)
  other[Symbol.dispose]()
  assert.equal(db.exists('key'), false)
})
