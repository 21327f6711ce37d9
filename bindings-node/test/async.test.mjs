import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, OpenDB, openAsync } from 'opendb'
import { database, directory, rejected, texts, thrown } from './helper.mjs'

test('a database opens on the thread pool', async (context) => {
  const path = directory(context)
  const db = await OpenDB.openAsync(path, { durability: 'sync' })
  assert.ok(db instanceof OpenDB)
  db.put('key', 'value')
  db.close()
  const again = await openAsync(path)
  assert.equal(again.getString('key'), 'value')
  assert.equal(again.path, db.path)
  again.close()
})

test('opening on the thread pool rejects with what open throws', async (context) => {
  const path = `${directory(context)}/missing`
  const rejection = await rejected('OPENDB_IO', OpenDB.openAsync(path, { create: false }))
  const error = thrown('OPENDB_IO', () => open(path, { create: false }))
  assert.equal(rejection.message, error.message)
})

test('put and delete on the thread pool', async (context) => {
  const db = database(context)
  const keyspace = db.keyspace('other')
  assert.equal(await db.putAsync('a', '1', { durability: 'sync' }), undefined)
  await db.putAsync('b', '2')
  await keyspace.putAsync('c', '3', { durability: 'buffered' })
  assert.equal(await db.deleteAsync('a', { durability: 'sync' }), undefined)
  await db.deleteAsync('absent')
  assert.deepEqual(texts(db.iter()), [['b', '2']])
  assert.equal(keyspace.getString('c'), '3')
})

test('bytes are copied before the call returns', async (context) => {
  const db = database(context)
  const key = Buffer.from('key')
  const value = Buffer.from('value')
  const stored = db.putAsync(key, value)
  key.fill(0)
  value.fill(0)
  await stored
  assert.equal(db.getString('key'), 'value')
  const name = Buffer.from('key')
  const deleted = db.deleteAsync(name)
  name.fill(0)
  await deleted
  assert.equal(db.exists('key'), false)
})

test('many writes at once', async (context) => {
  const db = database(context)
  const numbers = Array.from({ length: 200 }, (_, number) => String(number).padStart(3, '0'))
  await Promise.all(numbers.map((number) => db.putAsync(number, number, { durability: 'sync' })))
  assert.deepEqual(Array.from(db.keys(), String), numbers)
})

test('a transaction commits on the thread pool and has ended at once', async (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.put('default', 'key', 'value')
  const committed = transaction.commitAsync({ durability: 'sync' })
  assert.equal(transaction.active, false)
  thrown('OPENDB_INVALID_ARGUMENT', () => transaction.get('default', 'key'))
  assert.equal(await committed, undefined)
  assert.equal(db.getString('key'), 'value')
})

test('a conflict rejects', async (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.get('default', 'key')
  transaction.put('default', 'key', 'mine')
  db.put('key', 'theirs')
  const error = await rejected('OPENDB_TRANSACTION', transaction.commitAsync())
  assert.equal(error.retryable, true)
  assert.match(error.stack, /async\.test\.mjs/)
  assert.equal(db.getString('key'), 'theirs')
})

test('a batch commits on the thread pool', async (context) => {
  const db = database(context)
  const batch = db.batch().put('default', 'a', '1').put('default', 'b', '2')
  await batch.commitAsync({ durability: 'sync' })
  assert.equal(db.size, 2)
})

test('flush waits for the device, on the thread pool or here', async (context) => {
  const db = database(context)
  db.put('key', 'value')
  assert.equal(await db.flush(), undefined)
  assert.equal(db.flushSync(), undefined)
})

test('the thread that asked goes on meanwhile', async (context) => {
  const db = database(context)
  const order = []
  const flushed = db.flush().then(() => order.push('flushed'))
  order.push('went on')
  await flushed
  assert.deepEqual(order, ['went on', 'flushed'])
})

test('a scan on the thread pool gives what the other one gives', async (context) => {
  const db = database(context)
  const numbers = Array.from({ length: 5000 }, (_, number) => String(number).padStart(5, '0'))
  db.writeBatch(numbers.map((key) => ({ type: 'put', key, value: `value of ${key}` })))
  for (const options of [{}, { reverse: true }, { start: '01000', limit: 2500 }, { prefix: 'absent' }]) {
    const found = []
    for await (const [key, value] of db.iter(options)) found.push([String(key), String(value)])
    assert.deepEqual(found, texts(db.iter(options)))
    const keys = []
    for await (const key of db.keys(options)) keys.push(String(key))
    assert.deepEqual(keys, found.map(([key]) => key))
  }
})

test('a scan on the thread pool begins where another one was left, and ends when it is left', async (context) => {
  const db = database(context)
  for (const key of ['a', 'b', 'c']) db.put(key, key)
  const iterator = db.iter()
  assert.equal(String(iterator.next().value[0]), 'a')
  for await (const [key] of iterator) {
    assert.equal(String(key), 'b')
    break
  }
  assert.deepEqual(iterator.next(), { done: true, value: undefined })
})

test('a scan on the thread pool ends with the database', async (context) => {
  const db = database(context)
  db.writeBatch(Array.from({ length: 5000 }, (_, key) => ({ type: 'put', key: String(key), value: 'value' })))
  const scan = async () => {
    let entries = 0
    for await (const _ of db.iter()) if ((entries += 1) === 3000) db.close()
  }
  await rejected('OPENDB_CLOSED', scan())
})

test('compaction, verification, backup and salvage on the thread pool', async (context) => {
  const db = database(context, { segmentBytes: 64 << 10 })
  for (let round = 0; round < 5; round += 1) {
    db.writeBatch(Array.from({ length: 1000 }, (_, key) => ({ type: 'put', key: String(key), value: Buffer.alloc(200, round) })))
  }
  const told = []
  const compaction = await db.compactAsync((done, total) => told.push([done, total]))
  assert.ok(compaction.segmentsRemoved > 0)
  assert.ok(told.length > 0 && told.every(([done, total]) => done <= total))
  assert.deepEqual(await db.compactAsync(), { segmentsRemoved: 0, bytesCopied: 0, bytesFreed: 0 })
  assert.deepEqual((await db.verifyAsync()).violations, [])
  const copy = directory(context)
  assert.equal((await db.backupAsync(copy)).sequence, db.stats().lastSequence)
  await rejected('OPENDB_INVALID_ARGUMENT', db.backupAsync(copy))
  const salvaged = directory(context)
  assert.deepEqual(await OpenDB.salvageAsync(copy, salvaged), { keys: 1000, keyspaces: 1, lost: [] })
  await rejected('OPENDB_INVALID_ARGUMENT', db.compactAsync(5))
})

test('what progress throws comes out of the compaction', async (context) => {
  const db = database(context)
  await assert.rejects(
    db.compactAsync(() => {
      throw new RangeError('enough')
    }),
    RangeError,
  )
  await db.compactAsync(() => false)
})

test('a database closes on the thread pool, and everything of it is closed at once', async (context) => {
  const path = directory(context)
  const db = open(path)
  db.put('key', 'value')
  const writing = db.putAsync('late', 'value', { durability: 'sync' })
  const closing = db.closeAsync()
  thrown('OPENDB_CLOSED', () => db.get('key'))
  await closing
  await writing.then(
    () => undefined,
    (error) => assert.equal(error.code, 'OPENDB_CLOSED'),
  )
  await db.closeAsync()
  db.close()
  const again = open(path)
  assert.equal(again.getString('key'), 'value')
  await again[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]()
  thrown('OPENDB_CLOSED', () => again.get('key'))
})
