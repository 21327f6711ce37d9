import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { database, texts } from './helper.mjs'

const library = new URL('../index.mjs', import.meta.url).href

/** Runs a piece of code in a worker thread with `db` opened there, and resolves to its exit code. */
function inWorker(path, code) {
  const source = `
    import { workerData } from 'node:worker_threads'
    import { open } from ${JSON.stringify(library)}
    const db = open(workerData.path)
    ${code}`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: { path } })
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', resolve)
  })
}

test('counters of four threads over one directory lose nothing', async (context) => {
  const db = database(context)
  const code = `
    for (let round = 0; round < 250; round++) {
      db.transact((transaction) => {
        const count = Number(transaction.getString('default', 'count') ?? 0)
        transaction.put('default', 'count', String(count + 1))
      })
    }
    db.close()`
  const exits = await Promise.all([1, 2, 3, 4].map(() => inWorker(db.path, code)))
  assert.deepEqual(exits, [0, 0, 0, 0])
  assert.equal(db.getString('count'), '1000')
})

test('a thread sees what another one wrote', async (context) => {
  const db = database(context)
  db.put('from main', '1')
  await inWorker(db.path, `
    db.put('from worker', db.getString('from main') + '2')
    await db.putAsync('from its pool', '3', { durability: 'sync' })
    db.close()`)
  assert.deepEqual(texts(db.iter()), [['from its pool', '3'], ['from main', '1'], ['from worker', '12']])
})

test('a thread that ends with everything open harms nobody', async (context) => {
  const db = database(context)
  const code = `
    db.put('key', 'value')
    const iterator = db.iter(); iterator.next()
    globalThis.kept = [iterator, db.beginTransaction(), db.snapshot(), db.batch()]
    for (let number = 0; number < 50; number++) db.putAsync('key', 'value', { durability: 'sync' })
    process.exit(3)`
  assert.equal(await inWorker(db.path, code), 3)
  assert.equal(db.getString('key'), 'value')
  db.put('key', 'still here')
  assert.equal(db.getString('key'), 'still here')
})
