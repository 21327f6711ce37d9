import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { OpenDBError } from 'opendb'
import { database, rejected, texts, thrown } from './helper.mjs'

const { native } = createRequire(import.meta.url)('../lib/error.cjs')
const { liveObjects } = native

const CONFLICT = 'OPENDB_TRANSACTION'
const INVALID = 'OPENDB_INVALID_ARGUMENT'

test('a transaction reads its own writes; others see them after commit', (context) => {
  const db = database(context)
  db.put('kept', '1')
  db.put('gone', '2')
  const transaction = db.beginTransaction()
  transaction.put('default', 'new', '3')
  transaction.delete('default', 'gone')
  assert.equal(transaction.get('default', 'new').toString(), '3')
  assert.equal(transaction.getString('default', 'kept'), '1')
  assert.equal(transaction.get('default', 'gone'), undefined)
  assert.equal(transaction.exists('default', 'new'), true)
  assert.equal(transaction.exists('default', 'gone'), false)
  assert.deepEqual(texts(transaction.scanPrefix('default', '')), [['kept', '1'], ['new', '3']])
  assert.deepEqual(texts(db.iter()), [['gone', '2'], ['kept', '1']])
  transaction.commit()
  assert.deepEqual(texts(db.iter()), [['kept', '1'], ['new', '3']])
})

test('a transaction keeps reading its snapshot', (context) => {
  const db = database(context)
  db.put('key', 'before')
  const transaction = db.beginTransaction()
  db.put('key', 'after')
  db.put('other', 'new')
  assert.equal(transaction.getString('default', 'key'), 'before')
  assert.deepEqual(texts(transaction.scanPrefix('default', '')), [['key', 'before']])
  transaction.rollback()
})

test('a transaction spans keyspaces', (context) => {
  const db = database(context)
  const accounts = db.keyspace('accounts')
  const transaction = db.beginTransaction()
  transaction.put('accounts', 'a', '1')
  transaction.put('default', 'b', '2')
  transaction.commit()
  assert.equal(accounts.getString('a'), '1')
  assert.equal(db.getString('b'), '2')
})

test('a keyspace that was never created is an error', (context) => {
  const transaction = database(context).beginTransaction()
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => transaction.put('nowhere', 'key', 'value'))
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => transaction.scanPrefix('nowhere', ''))
  transaction.rollback()
})

test('rollback and a transaction that is left alone leave nothing', (context) => {
  const db = database(context)
  const first = db.beginTransaction()
  first.put('default', 'key', 'value')
  first.rollback()
  db.beginTransaction().put('default', 'key', 'value')
  assert.equal(db.size, 0)
})

test('of two transactions that change what both read, the second is a conflict', (context) => {
  const db = database(context)
  db.put('key', '0')
  const [first, second] = [db.beginTransaction(), db.beginTransaction()]
  for (const transaction of [first, second]) {
    const count = Number(transaction.getString('default', 'key'))
    transaction.put('default', 'key', String(count + 1))
  }
  first.commit()
  const error = thrown(CONFLICT, () => second.commit())
  assert.equal(error.retryable, true)
  assert.equal(error.kind, 3)
  assert.equal(db.getString('key'), '1')
  assert.equal(second.active, false)
})

test('a phantom on a scanned prefix is a conflict', (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.put('default', 'count', String(transaction.scanPrefix('default', 'user:').length))
  db.put('user:1', 'Alice')
  thrown(CONFLICT, () => transaction.commit())
})

test('blind writes do not conflict', (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.put('default', 'key', 'mine')
  db.put('key', 'theirs')
  transaction.commit()
  assert.equal(db.getString('key'), 'mine')
})

test('a transaction that has ended refuses every call', async (context) => {
  const db = database(context)
  const committed = db.beginTransaction()
  committed.commit()
  const rolledBack = db.beginTransaction()
  rolledBack.rollback()
  for (const transaction of [committed, rolledBack]) {
    assert.equal(transaction.active, false)
    const calls = [
      () => transaction.get('default', 'key'),
      () => transaction.getString('default', 'key'),
      () => transaction.put('default', 'key', 'value'),
      () => transaction.delete('default', 'key'),
      () => transaction.exists('default', 'key'),
      () => transaction.scanPrefix('default', ''),
      () => transaction.iter('default'),
      () => transaction.keys('default'),
      () => transaction.commit(),
      () => transaction.rollback(),
    ]
    for (const call of calls) assert.match(thrown(INVALID, call).message, /the transaction has ended/)
    await rejected(INVALID, transaction.commitAsync())
    transaction[Symbol.dispose]()
  }
})

test('an iterator of a transaction shows the writes made before it, and outlives the transaction', (context) => {
  const db = database(context)
  db.put('a', '1')
  const transaction = db.beginTransaction()
  transaction.put('default', 'b', '2')
  const iterator = transaction.iter('default')
  transaction.put('default', 'c', '3')
  transaction.commit()
  assert.deepEqual(texts(iterator), [['a', '1'], ['b', '2']])
})

test('disposing rolls back what was not committed', (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.put('default', 'key', 'value')
  transaction[Symbol.dispose]()
  assert.equal(transaction.active, false)
  assert.equal(db.size, 0)
})

test('transaction() commits on return and hands the result on', (context) => {
  const db = database(context)
  const result = db.transaction((transaction) => {
    transaction.put('default', 'key', 'value')
    return { answer: 42 }
  }, { durability: 'sync' })
  assert.deepEqual(result, { answer: 42 })
  assert.equal(db.getString('key'), 'value')
})

test('transaction() rolls back on a throw and hands the error on as it is', (context) => {
  const db = database(context)
  for (const failure of [new TypeError('mine'), 'a string', undefined]) {
    let inside
    let caught = 'nothing'
    try {
      db.transaction((transaction) => {
        inside = transaction
        transaction.put('default', 'key', 'value')
        throw failure
      })
    } catch (error) {
      caught = error
    }
    assert.equal(caught, failure)
    assert.equal(inside.active, false)
  }
  assert.equal(db.size, 0)
})

test('transaction() lets its work end the transaction itself', (context) => {
  const db = database(context)
  const result = db.transaction((transaction) => {
    transaction.put('default', 'dropped', '1')
    transaction.rollback()
    return 'rolled back'
  })
  assert.equal(result, 'rolled back')
  db.transaction((transaction) => {
    transaction.put('default', 'kept', '2')
    transaction.commit()
  })
  assert.deepEqual(texts(db.iter()), [['kept', '2']])
})

test('transaction() runs its work once and throws the conflict', (context) => {
  const db = database(context)
  let runs = 0
  thrown(CONFLICT, () => db.transaction((transaction) => {
    runs++
    transaction.get('default', 'key')
    transaction.put('default', 'other', 'value')
    db.put('key', 'changed')
  }))
  assert.equal(runs, 1)
  assert.equal(db.exists('other'), false)
})

test('transact() runs its work again until it commits', (context) => {
  const db = database(context)
  db.put('count', '10')
  let runs = 0
  const result = db.transact((transaction) => {
    const count = Number(transaction.getString('default', 'count'))
    if (++runs <= 3) db.put('count', String(count + 100))
    transaction.put('default', 'count', String(count + 1))
    return count + 1
  })
  assert.equal(runs, 4)
  assert.equal(result, 311)
  assert.equal(db.getString('count'), '311')
})

test('transact() hands an error of its work on as it is, without another run', (context) => {
  const db = database(context)
  for (const failure of [new RangeError('mine'), 'a string', null, undefined]) {
    let runs = 0
    let caught = 'nothing'
    try {
      db.transact((transaction) => {
        runs++
        transaction.put('default', 'key', 'value')
        throw failure
      })
    } catch (error) {
      caught = error
    }
    assert.equal(caught, failure)
    assert.equal(runs, 1)
  }
  assert.equal(db.size, 0)
})

test('transact() commits itself: its work can neither commit nor roll back', (context) => {
  const db = database(context)
  let kept
  db.transact((transaction) => {
    kept = transaction
    assert.equal(transaction.active, true)
    assert.match(thrown(INVALID, () => transaction.commit()).message, /return to commit, throw to roll back/)
    thrown(INVALID, () => transaction.rollback())
    transaction[Symbol.dispose]()
    transaction.put('default', 'key', 'value')
  })
  assert.equal(kept.active, false)
  thrown(INVALID, () => kept.put('default', 'key', 'late'))
  assert.equal(db.getString('key'), 'value')
})

test('transact() within transact()', (context) => {
  const db = database(context)
  db.transact((outer) => {
    outer.put('default', 'outer', '1')
    db.transact((inner) => inner.put('default', 'inner', '2'))
    assert.equal(db.exists('inner'), true)
    assert.equal(db.exists('outer'), false)
  })
  assert.deepEqual(texts(db.iter()), [['inner', '2'], ['outer', '1']])
})

test('transaction refuses asynchronous work and rolls it back', async (context) => {
  const db = database(context)
  const work = async (transaction) => {
    transaction.put('default', 'key', 'value')
    await null
    transaction.put('default', 'late', 'value')
  }
  assert.match(thrown(INVALID, () => db.transaction(work)).message, /must not be asynchronous/)
  // The rest of the work runs now and fails on the transaction that has ended; nobody is told a second time.
  await new Promise(setImmediate)
  assert.equal(db.size, 0)
})

test('transact waits for asynchronous work, and for its commit', async (context) => {
  const db = database(context)
  const running = db.transact(async (transaction) => {
    transaction.put('default', 'key', 'value')
    await new Promise(setImmediate)
    assert.equal(db.exists('key'), false)
    assert.match(thrown(INVALID, () => transaction.commit()).message, /transact commits the transaction itself/)
    assert.match((await rejected(INVALID, transaction.commitAsync())).message, /transact commits/)
    return transaction.getString('default', 'key')
  }, { durability: 'sync' })
  assert.ok(running instanceof Promise)
  assert.equal(await running, 'value')
  assert.equal(db.getString('key'), 'value')
})

test('asynchronous work is run again on a conflict, and counts exactly', async (context) => {
  const db = database(context)
  let runs = 0
  const count = async (transaction) => {
    runs += 1
    const seen = Number(transaction.getString('default', 'count') ?? 0)
    await new Promise(setImmediate)
    transaction.put('default', 'count', String(seen + 1))
    return seen + 1
  }
  const counts = await Promise.all(Array.from({ length: 12 }, () => db.transact(count, { retries: 1000 })))
  assert.deepEqual(counts.sort((one, other) => one - other), Array.from({ length: 12 }, (_, at) => at + 1))
  assert.equal(db.getString('count'), '12')
  assert.ok(runs > 12)
})

test('asynchronous work that fails, or never stops conflicting, leaves nothing behind', async (context) => {
  const db = database(context)
  const before = liveObjects()
  await assert.rejects(
    db.transact(async (transaction) => {
      transaction.put('default', 'key', 'value')
      await null
      throw new RangeError('of the work')
    }),
    RangeError,
  )
  let runs = 0
  const conflicting = async (transaction) => {
    runs += 1
    transaction.get('default', 'hot')
    db.put('hot', String(runs))
    await null
    transaction.put('default', 'key', 'value')
  }
  await rejected('OPENDB_TRANSACTION', db.transact(conflicting, { retries: 5 }))
  assert.equal(runs, 6)
  runs = 0
  await rejected('OPENDB_TRANSACTION', db.transact(conflicting, { retries: 0 }))
  assert.equal(runs, 1)
  assert.equal(db.exists('key'), false)
  assert.equal(liveObjects().held, before.held, 'a transaction is still there')
})

test('a database that is closed beside asynchronous work', async (context) => {
  const db = database(context)
  let late
  const running = db.transact(async (transaction) => {
    transaction.put('default', 'key', 'value')
    late = transaction
    await null
    db.close()
  })
  await rejected('OPENDB_CLOSED', running)
  thrown(INVALID, () => late.get('default', 'key'))
})

test('a batch of plain objects', async (context) => {
  const db = database(context)
  db.keyspace('other')
  db.put('gone', '1')
  db.writeBatch([
    { type: 'put', key: 'a', value: '1' },
    { type: 'put', key: Buffer.from('a'), value: Buffer.from('2') },
    { type: 'put', keyspace: 'other', key: 'b', value: '3' },
    { type: 'delete', key: 'gone' },
  ])
  assert.deepEqual(texts(db.iter()), [['a', '2']])
  assert.equal(db.keyspace('other').getString('b'), '3')
  await db.writeBatchAsync([{ type: 'delete', key: 'a' }], { durability: 'sync' })
  assert.equal(db.size, 0)
  db.writeBatch([])
})

test('a wrong operation is told with its place, and nothing is written', async (context) => {
  const db = database(context)
  const before = liveObjects()
  const put = { type: 'put', key: 'a', value: '1' }
  assert.match(thrown(INVALID, () => db.writeBatch([put, { type: 'del', key: 'a' }])).message, /operation 1 must be/)
  assert.match(thrown(INVALID, () => db.writeBatch([put, null])).message, /operation 1 must be/)
  assert.match(thrown(INVALID, () => db.writeBatch([put, { type: 'put', key: 'b' }])).message, /value must be/)
  assert.match(thrown(INVALID, () => db.writeBatch({})).message, /operations must be an array/)
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => db.writeBatch([put, { ...put, keyspace: 'absent' }]))
  assert.match((await rejected(INVALID, db.writeBatchAsync(5))).message, /operations must be an array/)
  assert.equal(db.size, 0)
  assert.equal(liveObjects().held, before.held, 'a batch is still there')
})

test('the counter of the documentation', (context) => {
  const db = database(context)
  const increment = (key) => {
    const transaction = db.beginTransaction()
    const count = (transaction.get('default', key)?.readBigUInt64LE() ?? 0n) + 1n
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(count)
    transaction.put('default', key, bytes)
    transaction.commit()
    return count
  }
  for (let count = 1n; count <= 20n; count++) assert.equal(increment('visits'), count)
})

test('a batch is applied in one step', (context) => {
  const db = database(context)
  db.keyspace('other')
  db.put('gone', '1')
  const batch = db.batch()
  assert.equal(batch.size, 0)
  assert.equal(batch.put('default', 'a', '1').put('default', 'a', '2').put('other', 'b', '3'), batch)
  batch.delete('default', 'gone').delete('default', 'absent')
  assert.ok(batch.size >= 4)
  assert.equal(db.exists('a'), false)
  batch.commit({ durability: 'sync' })
  assert.deepEqual(texts(db.iter()), [['a', '2']])
  assert.equal(db.keyspace('other').getString('b'), '3')
})

test('a batch that has ended refuses every call; one that is left alone does nothing', async (context) => {
  const db = database(context)
  const committed = db.batch()
  committed.commit()
  const disposed = db.batch().put('default', 'key', 'value')
  disposed[Symbol.dispose]()
  for (const batch of [committed, disposed]) {
    const calls = [
      () => batch.put('default', 'key', 'value'),
      () => batch.delete('default', 'key'),
      () => batch.size,
      () => batch.commit(),
    ]
    for (const call of calls) assert.match(thrown(INVALID, call).message, /the batch has ended/)
    await rejected(INVALID, batch.commitAsync())
    batch[Symbol.dispose]()
  }
  db.batch().put('default', 'key', 'value')
  assert.equal(db.size, 0)
})

test('a batch knows only keyspaces that are there', (context) => {
  const batch = database(context).batch()
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => batch.put('nowhere', 'key', 'value'))
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => batch.delete('nowhere', 'key'))
})

test('a snapshot keeps its moment, in every keyspace', (context) => {
  const db = database(context)
  const users = db.keyspace('users')
  db.put('key', 'before')
  users.put('user', 'Alice')
  const snapshot = db.snapshot()
  db.put('key', 'after')
  db.put('new', '1')
  users.delete('user')
  assert.equal(snapshot.get('key').toString(), 'before')
  assert.equal(snapshot.getString('key'), 'before')
  assert.equal(snapshot.get('new'), undefined)
  assert.equal(snapshot.exists('new'), false)
  assert.deepEqual(texts(snapshot.scanPrefix('')), [['key', 'before']])
  const before = snapshot.keyspace('users')
  snapshot.close()
  assert.equal(before.getString('user'), 'Alice')
  assert.deepEqual(texts(before.iter()), [['user', 'Alice']])
  thrown('OPENDB_KEYSPACE_NOT_FOUND', () => before.keyspace('nowhere'))
})

test('a snapshot that is closed refuses every call', (context) => {
  const snapshot = database(context).snapshot()
  snapshot.close()
  snapshot.close()
  snapshot[Symbol.dispose]()
  const calls = [
    () => snapshot.get('key'),
    () => snapshot.getString('key'),
    () => snapshot.exists('key'),
    () => snapshot.scanPrefix(''),
    () => snapshot.iter(),
    () => snapshot.keys(),
    () => snapshot.keyspace('default'),
  ]
  for (const call of calls) assert.match(thrown(INVALID, call).message, /the snapshot is closed/)
})

test('a conflict is an OpenDBError like any other', (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  transaction.exists('default', 'key')
  transaction.put('default', 'key', '1')
  db.put('key', '2')
  assert.throws(() => transaction.commit(), OpenDBError)
})

test('transact gives up after as many retries as it was told', (context) => {
  const db = database(context)
  let runs = 0
  const never = (transaction) => {
    runs++
    transaction.get('default', 'k')
    db.put('k', String(runs))
    transaction.put('default', 'k', 'never')
  }
  thrown('OPENDB_TRANSACTION', () => db.transact(never, { retries: 2, durability: 'sync' }))
  assert.equal(runs, 3)
  thrown('OPENDB_TRANSACTION', () => db.transact(never, { retries: 0 }))
  assert.equal(runs, 4)
  assert.equal(db.getString('k'), '4')
  for (const retries of [-1, 0.5, '1']) thrown('OPENDB_INVALID_ARGUMENT', () => db.transact(never, { retries }))
  assert.equal(runs, 4)
})
