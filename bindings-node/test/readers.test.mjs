import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { open } from 'opendb'
import { database, directory, thrown } from './helper.mjs'
import { look, randomNumbers } from './member.mjs'

const library = new URL('../index.mjs', import.meta.url).href
const member = fileURLToPath(new URL('./member.mjs', import.meta.url))

/** What a process answers to a message. */
async function ask(process, message) {
  process.send(message)
  const [answer] = await once(process, 'message')
  return answer
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
  reader.close()
  assert.equal(other.getString('key'), '99')
  other.close()
})

test('worker threads read while this one writes', async (context) => {
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

test('the workers of a cluster read while the primary writes', async (context) => {
  const db = database(context)
  cluster.setupPrimary({ exec: member, args: ['read', db.path] })
  const workers = [1, 2, 3, 4].map(() => cluster.fork())
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  for (let count = 1; count <= 50; count++) {
    db.transact((transaction) => {
      transaction.put('default', 'account 1', String(count))
      transaction.put('default', 'account 2', String(-count))
      transaction.put('default', 'count', String(count))
    })
    for (const worker of workers) assert.deepEqual(await ask(worker, 'look'), { total: 0, count })
    if (count % 20 === 0) db.compact()
  }
  for (const worker of workers) {
    worker.disconnect()
    assert.deepEqual(await once(worker, 'exit'), [0, null])
  }
})

/** A process that commits, and the last commit that it has acknowledged. */
class Writer {
  static async start(path, seed, acknowledged) {
    const writer = new Writer()
    writer.process = fork(member, ['write', path, String(seed)])
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

test('a killed writer leaves its readers, and they follow the next one', async (context) => {
  const path = directory(context)
  let writer = await Writer.start(path, 1, 0)
  const reader = open(path, { readOnly: true })
  for (let seed = 2; seed < 5; seed++) {
    const acknowledged = await writer.kill()
    reader.refreshSync()
    const { total, count } = look(reader)
    assert.equal(total, 0)
    assert.ok(count === acknowledged || count === acknowledged + 1, `${count} behind ${acknowledged}`)
    writer = await Writer.start(path, seed, acknowledged)
    reader.refreshSync()
    assert.ok(look(reader).count > count)
  }
  await writer.kill()
  reader.close()
})

test('readers beside a writer, any of which is killed', async (context) => {
  const path = directory(context)
  const seed = Math.floor(Math.random() * 2 ** 32)
  context.diagnostic(`seed ${seed}`)
  const random = randomNumbers(seed)
  const one = (list) => Math.floor(random() * list.length)
  let writer = await Writer.start(path, seed, 0)
  const readers = []
  const stop = async (number) => {
    const [{ process }] = readers.splice(number, 1)
    process.kill('SIGKILL')
    await once(process, 'exit')
  }
  for (let step = 0; step < 250; step++) {
    const chosen = random()
    if (chosen < 0.04) {
      writer = await Writer.start(path, seed + step, await writer.kill())
    } else if (chosen < 0.1 && readers.length > 0) {
      await stop(one(readers))
    } else if (chosen < 0.3 && readers.length < 4) {
      const process = fork(member, ['read', path])
      await once(process, 'message')
      readers.push({ process, seen: 0 })
    } else if (readers.length > 0) {
      const reader = readers[one(readers)]
      const { acknowledged } = writer
      const { total, count } = await ask(reader.process, 'look')
      assert.equal(total, 0)
      assert.ok(count >= Math.max(acknowledged, reader.seen), `${count} behind ${acknowledged} or ${reader.seen}`)
      reader.seen = count
    }
  }
  const acknowledged = await writer.kill()
  while (readers.length > 0) await stop(0)
  const db = open(path)
  const { total, count } = look(db)
  assert.deepEqual([total, count >= acknowledged, db.verify().violations], [0, true, []])
  db.close()
})
