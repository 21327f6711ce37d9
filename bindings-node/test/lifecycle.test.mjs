import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from 'opendb'
import { collected, database, directory, rejected, thrown } from './helper.mjs'

const CLOSED = 'OPENDB_CLOSED'

test('path is the directory, also after close', (context) => {
  const path = directory(context)
  const db = open(path)
  assert.equal(typeof db.path, 'string')
  assert.ok(db.path.endsWith(path))
  db.close()
  assert.ok(db.path.endsWith(path))
})

test('after close every call is refused, and a second close is fine', async (context) => {
  const db = database(context)
  const keyspace = db.keyspace('other')
  const snapshot = db.snapshot()
  const transaction = db.beginTransaction()
  const doomed = db.beginTransaction()
  const asynchronous = db.beginTransaction()
  const batch = db.batch().put('default', 'key', 'value')
  const asynchronousBatch = db.batch().put('default', 'key', 'value')
  db.put('key', 'value')
  db.close()
  db.close()
  for (const store of [db, keyspace]) {
    thrown(CLOSED, () => store.get('key'))
    thrown(CLOSED, () => store.getString('key'))
    thrown(CLOSED, () => store.put('key', 'value'))
    thrown(CLOSED, () => store.delete('key'))
    thrown(CLOSED, () => store.exists('key'))
    thrown(CLOSED, () => store.scanPrefix(''))
    thrown(CLOSED, () => store.iter())
    thrown(CLOSED, () => store.keys())
    thrown(CLOSED, () => store.size)
    await rejected(CLOSED, store.putAsync('key', 'value'))
    await rejected(CLOSED, store.deleteAsync('key'))
  }
  thrown(CLOSED, () => db.keyspace('other'))
  thrown(CLOSED, () => db.keyspaces())
  thrown(CLOSED, () => db.beginTransaction())
  thrown(CLOSED, () => db.transaction(() => assert.fail('the work ran')))
  thrown(CLOSED, () => db.transact(() => assert.fail('the work ran')))
  thrown(CLOSED, () => db.snapshot())
  thrown(CLOSED, () => db.stats())
  thrown(CLOSED, () => db.flushSync())
  await rejected(CLOSED, db.flush())
  thrown(CLOSED, () => snapshot.get('key'))
  thrown(CLOSED, () => snapshot.exists('key'))
  thrown(CLOSED, () => snapshot.scanPrefix(''))
  thrown(CLOSED, () => snapshot.keyspace('other'))
  thrown(CLOSED, () => transaction.get('default', 'key'))
  thrown(CLOSED, () => transaction.put('default', 'key', 'value'))
  thrown(CLOSED, () => transaction.commit())
  thrown(CLOSED, () => doomed.rollback())
  await rejected(CLOSED, asynchronous.commitAsync())
  thrown(CLOSED, () => batch.put('default', 'key', 'value'))
  thrown(CLOSED, () => batch.commit())
  await rejected(CLOSED, asynchronousBatch.commitAsync())
  snapshot.close()
})

test('dispose closes the database', (context) => {
  const db = database(context)
  db[Symbol.dispose]()
  thrown(CLOSED, () => db.get('key'))
  db[Symbol.dispose]()
})

test('work that the database is closed under is told so', (context) => {
  const db = database(context)
  thrown(CLOSED, () => db.transaction((transaction) => {
    db.close()
    transaction.put('default', 'key', 'value')
  }))
})

test('work that is run again is told the same', (context) => {
  const db = database(context)
  let lent
  thrown(CLOSED, () => db.transact((transaction) => {
    lent = transaction
    db.close()
    transaction.put('default', 'key', 'value')
  }))
  assert.equal(lent.active, false)
  thrown(CLOSED, () => db.transact(() => assert.fail('the work ran')))
})

test('what nobody holds is collected', async (context) => {
  const db = database(context)
  for (let number = 0; number < 100; number++) db.put(`key ${number}`, 'value')
  const references = (() => {
    const iterator = db.iter()
    iterator.next()
    const made = [iterator, db.beginTransaction(), db.batch(), db.snapshot(), db.keyspace('other'), open(db.path)]
    return made.map((object) => new WeakRef(object))
  })()
  await collected(() => references.every((reference) => reference.deref() === undefined), 'an object')
  await collected(() => db.stats().snapshots === 0, 'a snapshot of the core')
  assert.equal(db.getString('key 1'), 'value')
})

test('an iterator, a keyspace, a snapshot or a transaction keeps its database open', async (context) => {
  const path = directory(context)
  const [iterator, keyspace, snapshot, transaction, batch] = (() => {
    const db = open(path)
    db.put('key', 'value')
    return [db.iter(), db.keyspace('default'), db.snapshot(), db.beginTransaction(), db.batch()]
  })()
  let passed = 0
  await collected(() => ++passed > 20, 'nothing')
  assert.equal(String(iterator.next().value[1]), 'value')
  assert.equal(keyspace.getString('key'), 'value')
  assert.equal(snapshot.getString('key'), 'value')
  transaction.put('default', 'a', '1')
  transaction.commit()
  batch.put('default', 'b', '2').commit()
  assert.equal(keyspace.size, 3)
})

test('a process that leaves everything open ends well', (context) => {
  const script = `
    import { open } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)}
    const db = open(process.argv[1])
    db.put('key', 'value')
    const iterator = db.iter(); iterator.next()
    const transaction = db.beginTransaction(); transaction.put('default', 'other', 'value')
    globalThis.kept = [db, iterator, transaction, db.snapshot(), db.batch(), db.putAsync('late', 'value')]
    process.exit(7)`
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script, directory(context)],
    { encoding: 'utf8' },
  )
  assert.equal(signal, null)
  assert.equal(status, 7, stderr)
})

test('the quickstart runs as it is printed', (context) => {
  const quickstart = fileURLToPath(new URL('../examples/quickstart.mjs', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [quickstart, directory(context)], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.equal(stdout, 'user:1 is Alice\nuser:1 = Alice\nuser:2 = Bob\nvisits: 1\n')
})
