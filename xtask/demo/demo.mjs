// The Node part of the demonstration: worker threads count the files of each kind in transactions on one database. Every
// transaction changes the counter of its kind and the total, so any two that run at once conflict and one runs again.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import { open } from 'opendb'

const WORKERS = 4
const FILES_MAX = 20_000

/** The ending of a file's name, or the whole name where it has none. */
function kindOf(key) {
  const name = key.subarray(key.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  return dot > 0 ? name.subarray(dot) : Buffer.from('no ending')
}

/** Adds one to a counter of 8 bytes, little endian. */
function increment(transaction, key) {
  const count = Buffer.alloc(8)
  count.writeBigUInt64LE((transaction.get('counters', key)?.readBigUInt64LE() ?? 0n) + 1n)
  transaction.put('counters', key, count)
}

/** Counts one file; gives how many times the transaction had to run again. */
function countFile(db, kind) {
  for (let conflicts = 0; ; conflicts += 1) {
    const transaction = db.beginTransaction()
    try {
      increment(transaction, Buffer.concat([Buffer.from('kind:'), kind]))
      increment(transaction, 'total')
      transaction.commit()
      return conflicts
    } catch (error) {
      if (error.code !== 'OPENDB_TRANSACTION') throw error
    }
  }
}

/** One worker: its own handle on the same database, and every file whose place leaves its number as the rest. */
function work() {
  const { path, number } = workerData
  const db = open(path)
  let [counted, conflicts, at] = [0, 0, 0]
  for (const key of db.keys({ limit: FILES_MAX })) {
    if (at++ % WORKERS !== number) continue
    conflicts += countFile(db, kindOf(key))
    counted += 1
  }
  db.close()
  return { counted, conflicts }
}

/** Starts the workers, waits for them and checks that no count was lost. */
async function main(path) {
  const db = open(path)
  const counters = db.keyspace('counters')
  const begin = performance.now()
  const results = await Promise.all(
    Array.from({ length: WORKERS }, (_, number) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { path, number } })
      return new Promise((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      })
    }),
  )
  const seconds = (performance.now() - begin) / 1e3
  const counted = results.reduce((sum, result) => sum + result.counted, 0)
  const conflicts = results.reduce((sum, result) => sum + result.conflicts, 0)
  console.log(
    `  counted ${counted} files in as many transactions on ${WORKERS} threads in ${seconds.toFixed(2)} s, ` +
      `${(counted / seconds).toFixed(0)} transactions/s; ${conflicts} conflicted and ran again`,
  )
  const total = counters.get('total')?.readBigUInt64LE() ?? 0n
  if (total !== BigInt(counted)) throw new Error(`the total is ${total}, ${counted} files were counted`)
  const kinds = counters.scanPrefix('kind:').map(([key, count]) => [key.subarray(5), count.readBigUInt64LE()])
  kinds.sort(([, left], [, right]) => Number(right - left))
  const most = kinds.slice(0, 5).map(([kind, count]) => `${kind} ${count}`)
  console.log(`  found ${kinds.length} kinds of file; the most common: ${most.join(', ')}`)
  db.close()
}

if (isMainThread) {
  await main(process.argv[2])
} else {
  parentPort.postMessage(work())
}
