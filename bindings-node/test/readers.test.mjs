import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { open } from 'opendb'
import { database, directory, thrown } from './helper.mjs'
import { look, randomNumbers } from './member.mjs'

const library = new URL('../index.mjs', import.meta.url).href
const member = fileURLToPath(new URL('./member.mjs', import.meta.url))
// A test that waits for what never comes fails after this, which is many times what one takes.
const bounded = { timeout: 180_000 }

/** What a process answers to a message. */
async function ask(process, message) {
  process.send(message)
  const [answer] = await once(process, 'message')
  return answer
}

/** A process that is gone when the test is over. */
function started(context, ...parameters) {
  const process = fork(member, parameters)
  context.after(() => process.kill('SIGKILL'))
  return process
}

test('one that reads beside one that writes in one process', (context) => {
  const db = database(context)
  const [reader, other] = [open(db.path, { readOnly: true }), open(db.path, { readOnly: true })]
  for (let number = 0; number < 100; number++) {
    db.put('key', String(number))
    reader.refreshSync()
    assert.equal(reader.getString('key'), String(number))
    assert.equal(other.getString('key'), String(number), 'both are on one engine')
  }
  thrown('OPENDB_READ_ONLY', () => reader.put('key', 'value'))
  const same = open(db.path)
  same.put('key', '100')
  assert.equal(db.getString('key'), '100', 'the one that writes is on one engine with another that does')
  reader.refreshSync()
  assert.equal(other.getString('key'), '100')
  same.close()
  reader.close()
  assert.equal(other.getString('key'), '100')
  other.close()
})

test('worker threads read while this one writes', bounded, async (context) => {
  const db = database(context)
  db.put('count', '0')
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { open } from ${JSON.stringify(library)}
    const db = open(workerData, { readOnly: true })
    parentPort.on('message', (count) => {
      if (count === undefined) {
        db.close()
        parentPort.close()
      } else {
        db.refreshSync()
        parentPort.postMessage(db.getString('count'))
      }
    })`
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const workers = [1, 2, 3].map(() => new Worker(url, { workerData: db.path }))
  for (let count = 1; count <= 100; count++) {
    db.put('count', String(count))
    for (const worker of workers) {
      worker.postMessage(count)
      assert.deepEqual(await once(worker, 'message'), [String(count)])
    }
    if (count % 40 === 0) db.compact()
  }
  for (const worker of workers) {
    worker.postMessage(undefined)
    assert.deepEqual(await once(worker, 'exit'), [0])
  }
})

test('worker threads each have a handle that writes and one that reads', bounded, async (context) => {
  const db = database(context)
  const reader = open(db.path, { readOnly: true })
  context.after(() => reader.close())
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { open } from ${JSON.stringify(library)}
    const { path, name } = workerData
    const [db, reader] = [open(path), open(path, { readOnly: true })]
    for (let round = 1; round <= 200; round++) {
      db.transact((transaction) => {
        transaction.put('default', name, String(round))
        transaction.put('default', 'sum', String(Number(transaction.getString('default', 'sum') ?? 0) + 1))
      })
      reader.refreshSync()
      const snapshot = reader.snapshot()
      const rounds = Array.from(snapshot.iter({ prefix: 'worker ' }), ([, value]) => Number(value))
      const sum = Number(snapshot.getString('sum'))
      if (rounds.reduce((sum, each) => sum + each) !== sum) throw new Error('not a whole commit')
      if (snapshot.getString(name) !== String(round)) throw new Error('not what this thread has written')
      snapshot.close()
    }
    db.close()
    reader.close()`
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const workers = ['worker 1', 'worker 2', 'worker 3'].map((name) => new Worker(url, { workerData: { path: db.path, name } }))
  assert.deepEqual(await Promise.all(workers.map((worker) => once(worker, 'exit'))), [[0], [0], [0]])
  reader.refreshSync()
  assert.deepEqual([db.getString('sum'), reader.getString('sum')], ['600', '600'])
})

/** Moves an amount between two accounts, and counts that. */
function moveAndCount(db, count) {
  db.transact((transaction) => {
    transaction.put('default', 'account 1', String(count))
    transaction.put('default', 'account 2', String(-count))
    transaction.put('default', 'count', String(count))
  })
}

test('processes made by fork follow by themselves, and may not write', bounded, async (context) => {
  const db = database(context)
  moveAndCount(db, 1)
  const followers = [1, 2, 3].map(() => started(context, 'follow', db.path))
  const done = Promise.all(followers.map((process) => once(process, 'exit')))
  const refusals = []
  for (const process of followers) process.on('message', (message) => refusals.push(message))
  let over = false
  done.then(() => (over = true))
  for (let count = 2; !over; count++) {
    moveAndCount(db, count)
    if (count % 1000 === 0) db.compact()
    // Seldom: what is looked at is to be in the middle of many commits.
    if (count % 100 === 0) await setImmediate()
  }
  assert.deepEqual(await done, followers.map(() => [0, null]))
  assert.equal(refusals.length, followers.length)
  for (const [code, message] of refusals) {
    assert.equal(code, 'OPENDB_LOCKED')
    assert.match(message, new RegExp(`process ${process.pid}\\b`))
  }
})

test('the workers of a cluster read while the primary writes', bounded, async (context) => {
  const db = database(context)
  cluster.setupPrimary({ exec: member, args: ['read', db.path] })
  const workers = [1, 2, 3, 4].map(() => cluster.fork())
  context.after(() => workers.forEach((worker) => worker.process.kill('SIGKILL')))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  for (let count = 1; count <= 50; count++) {
    moveAndCount(db, count)
    if (count % 20 === 0) db.compact()
    for (const worker of workers) assert.deepEqual(await ask(worker, 'look'), { total: 0, count })
  }
  for (const worker of workers) {
    worker.disconnect()
    assert.deepEqual(await once(worker, 'exit'), [0, null])
  }
})

/** A process that commits, and the last commit that it has acknowledged. */
class Writer {
  static async start(context, path, seed, acknowledged) {
    const writer = new Writer()
    writer.process = started(context, 'write', path, String(seed))
    const [first] = await once(writer.process, 'message')
    // One more may have been committed than was acknowledged before the kill.
    assert.ok(first === acknowledged + 1 || first === acknowledged + 2, `${first} behind ${acknowledged}`)
    writer.acknowledged = first
    writer.process.on('message', (count) => (writer.acknowledged = count))
    return writer
  }

  async kill() {
    this.process.kill('SIGKILL')
    await once(this.process, 'close')
    return this.acknowledged
  }
}

test('a killed writer leaves its readers, and they follow the next one', bounded, async (context) => {
  const path = directory(context)
  let writer = await Writer.start(context, path, 1, 0)
  const reader = open(path, { readOnly: true })
  for (let seed = 2; seed < 5; seed++) {
    const acknowledged = await writer.kill()
    reader.refreshSync()
    const { total, count } = look(reader)
    assert.equal(total, 0)
    assert.ok(count === acknowledged || count === acknowledged + 1, `${count} behind ${acknowledged}`)
    writer = await Writer.start(context, path, seed, acknowledged)
    reader.refreshSync()
    assert.ok(look(reader).count > count)
  }
  await writer.kill()
  reader.close()
})

// Readers look while the writer is killed and while the next one recovers, and are killed in the middle of looking.
test('readers beside a writer, any of which is killed', bounded, async (context) => {
  const path = directory(context)
  const seed = Math.floor(Math.random() * 2 ** 32)
  context.diagnostic(`seed ${seed}`)
  const random = randomNumbers(seed)
  const one = (list) => Math.floor(random() * list.length)
  let writer = await Writer.start(context, path, seed, 0)
  const readers = []
  const start = () => {
    const process = started(context, 'watch', path)
    readers.push({ process, exit: once(process, 'exit') })
  }
  const tell = ({ process }) => {
    assert.equal(process.exitCode, null, 'a reader has found something')
    process.send(writer.acknowledged)
  }
  for (let step = 0; step < 150; step++) {
    await setTimeout(random() * 50)
    const chosen = random()
    if (chosen < 0.1) {
      writer = await Writer.start(context, path, seed + step, await writer.kill())
    } else if (chosen < 0.2 && readers.length > 0) {
      const [{ process, exit }] = readers.splice(one(readers), 1)
      process.kill('SIGKILL')
      assert.deepEqual(await exit, [null, 'SIGKILL'])
    } else if (chosen < 0.5 && readers.length < 4) {
      start()
    }
    readers.forEach(tell)
  }
  start()
  for (const { process, exit } of readers) {
    const { acknowledged } = writer
    const { looks, seen } = await ask(process, 'end')
    assert.ok(looks > 0 && seen >= acknowledged, `${seen} behind ${acknowledged} after ${looks}`)
    assert.deepEqual(await exit, [0, null])
  }
  const acknowledged = await writer.kill()
  const db = open(path)
  const { total, count } = look(db)
  assert.deepEqual([total, count >= acknowledged, db.verify().violations], [0, true, []])
  db.close()
})
