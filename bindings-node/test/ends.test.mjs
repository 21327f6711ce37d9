import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open, OpenDB } from 'opendb'
import { database, directory, rejected, thrown } from './helper.mjs'

const library = new URL('../index.mjs', import.meta.url).href
const CLOSED = 'OPENDB_CLOSED'

/** Whether a promise was kept; if it was not, its database was closed. */
async function kept(promise) {
  try {
    await promise
    return true
  } catch (error) {
    assert.equal(error.code, CLOSED, error.stack)
    return false
  }
}

test('a close under pending promises keeps or refuses each of them, and nothing in between', async (context) => {
  const path = directory(context)
  const db = open(path)
  const keyspace = db.keyspace('other')
  const [transaction, batch] = [db.beginTransaction(), db.batch()]
  for (let number = 0; number < 100; number++) {
    transaction.put('default', `transaction ${number}`, 'value')
    batch.put('default', `batch ${number}`, 'value')
  }
  const writer = db.valueWriter('written', 5)
  writer.write('value')
  const numbers = Array.from({ length: 300 }, (_, number) => number)
  const puts = numbers.map((number) => kept(keyspace.putAsync(`key ${number}`, 'value', { durability: 'sync' })))
  const rest = [transaction.commitAsync(), batch.commitAsync(), writer.finishAsync(), db.flush(), db.deleteAsync('absent')]
  const ended = rest.map(kept)
  db.close()
  const [kepts, [committed, applied, finished]] = [await Promise.all(puts), await Promise.all(ended)]
  await rejected(CLOSED, db.putAsync('late', 'value'))
  const again = open(path)
  for (const number of numbers) {
    if (kepts[number]) assert.equal(again.keyspace('other').getString(`key ${number}`), 'value')
  }
  const count = (prefix) => again.scanPrefix(prefix).length
  assert.ok([0, 100].includes(count('transaction ')) && [0, 100].includes(count('batch ')))
  if (committed) assert.equal(count('transaction '), 100)
  if (applied) assert.equal(count('batch '), 100)
  if (finished) assert.equal(again.getString('written'), 'value')
  assert.deepEqual(again.verify().violations, [])
  again.close()
})

test('a database is closed in the middle of loops over it', async (context) => {
  const path = directory(context)
  const db = open(path)
  const batch = db.batch()
  for (let number = 0; number < 3000; number++) batch.put('default', String(number).padStart(5, '0'), 'x'.repeat(100))
  batch.commit()
  for (const loop of [() => db.iter(), () => db.keys(), () => db.snapshot().iter(), () => db.beginTransaction().iter('default')]) {
    const other = open(path)
    const [iterator, started] = [loop(), other.iter()]
    started.next()
    let seen = 0
    thrown(CLOSED, () => {
      for (const entry of started) {
        assert.ok(entry)
        if (++seen === 7) other.close()
      }
    })
    assert.equal(seen, 7)
    assert.equal([...iterator].length, 3000, 'the other handle goes on')
  }
  db.close()
})

test('threads that are ended in the middle of calls harm nobody', async (context) => {
  const db = database(context)
  const code = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { open } from ${JSON.stringify(library)}
    const db = open(workerData)
    parentPort.postMessage('begun')
    for (let round = 0; ; round++) {
      const batch = db.batch()
      for (let number = 0; number < 200; number++) batch.put('worker', String(number), 'v'.repeat(1000))
      batch.commit()
      globalThis.pending = [db.flush(), db.putAsync('key', 'value'), db.beginTransaction().commitAsync()]
      db.transact((transaction) => transaction.put('default', 'counted', String(round)))
      globalThis.kept = [db.iter(), db.snapshot(), db.beginTransaction(), db.keyspace('worker').keys()]
      for (const entry of db.keyspace('worker').iter()) globalThis.last = entry
      if (round % 5 === 0) db.compact()
      await null
    }`
  db.keyspace('worker')
  for (let round = 0; round < 12; round++) {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData: db.path })
    const failed = new Promise((_, reject) => worker.on('error', reject))
    await Promise.race([new Promise((resolve) => worker.once('message', resolve)), failed])
    await new Promise((resolve) => setTimeout(resolve, 5 * round))
    await worker.terminate()
    db.put('main', String(round))
  }
  assert.equal(db.getString('main'), '11')
  assert.ok([0, 200].includes(db.keyspace('worker').size), 'batches are whole')
  assert.deepEqual(db.verify().violations, [])
})

const ENDS = {
  'by itself, with everything open': ['', 0],
  'by exit, with promises pending': ['process.exit(5)', 5],
  'by exit in a promise': ['pending[0].then(() => process.exit(6))', 6],
  'by exit inside of a transaction': ['db.transact(() => process.exit(7))', 7],
  'by exit inside of a compaction': ['wear(); db.compact(() => process.exit(8)); process.exit(8)', 8],
  'by an error inside of a transaction': ["db.transaction(() => { throw new Error('of the caller') })", 1],
  'by an error that nobody catches': ["Promise.reject(new Error('of the caller'))", 1],
  'by a close in an exit handler': ["process.on('exit', () => db.close()); process.exit(9)", 9],
  'by a signal': ["process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)", 'SIGTERM'],
}

for (const [how, [code, expected]] of Object.entries(ENDS)) {
  test(`a process ends ${how}`, (context) => {
    const path = directory(context)
    const script = `
      import { open } from ${JSON.stringify(library)}
      const db = open(process.argv[1], { segmentBytes: 65536 })
      db.put('key', 'value')
      const wear = () => { for (let number = 0; number < 400; number++) db.put(String(number % 50), 'v'.repeat(1000)) }
      const iterator = db.iter(); iterator.next()
      const transaction = db.beginTransaction()
      transaction.put('default', 'not committed', 'value')
      const pending = Array.from({ length: 100 }, (_, number) => db.putAsync('async ' + number, 'value', { durability: 'sync' }))
      globalThis.kept = [iterator, transaction, db.snapshot(), db.batch(), pending, db.flush()]
      ${code}`
    const command = ['--input-type=module', '-e', script, path]
    const { status, signal, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8', timeout: 60_000 })
    assert.equal(signal ?? status, expected, stderr)
    assert.doesNotMatch(stderr, /panick|FATAL|Segmentation/)
    const db = open(path)
    assert.equal(db.getString('key'), 'value')
    assert.equal(db.exists('not committed'), false)
    assert.deepEqual(db.verify().violations, [])
    db.close()
  })
}

test('a database that is left while it is being opened', async (context) => {
  const path = directory(context)
  const opening = Array.from({ length: 20 }, () => OpenDB.openAsync(path))
  const first = await Promise.race(opening)
  first.put('key', 'value')
  first.close()
  for (const other of await Promise.all(opening)) {
    if (other !== first) assert.equal(other.getString('key'), 'value')
    other.close()
  }
})

test('an object of the package means nothing to another thread', async (context) => {
  const db = database(context)
  db.put('key', 'value')
  for (const object of [db, db.iter(), db.snapshot(), db.beginTransaction(), db.batch(), db.keyspace('other')]) {
    let copy
    try {
      copy = structuredClone(object)
    } catch (error) {
      assert.equal(error.name, 'DataCloneError')
      continue
    }
    assert.equal(copy.get, undefined, 'a copy has no call of the original')
  }
})
