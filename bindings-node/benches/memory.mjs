// Whether memory stays flat: over ten million calls of every kind, and over opening and closing a thousand times.
// `cargo xtask node` runs it; `--calls` and `--openings` set how many. Run with `node --expose-gc`.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values: options } = parseArgs({
  options: {
    calls: { type: 'string', default: '10000000' },
    openings: { type: 'string', default: '1000' },
    // Where the package is; found as any program finds it unless this says otherwise.
    opendb: { type: 'string', default: 'opendb' },
  },
})
const { open } = await import(options.opendb)
const [calls, openings] = [Number(options.calls), Number(options.openings)]

// What may be more afterwards: the store works in the background, and the collector keeps some room.
const GROWTH_BYTES_MAX = 48 << 20
// What the store does in the background takes memory for a while. A leak grows each time.
const TRIES = 4
const KEYS = 1000
const VALUE = Buffer.alloc(100, 'value')

const directory = mkdtempSync(join(tmpdir(), 'opendb-memory-'))
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))

/** Memory that is the process's own: maps of files come and go with the segments of the store. */
function residentBytes() {
  globalThis.gc()
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) << 10
}

const descriptors = () => readdirSync('/proc/self/fd').length

const db = open(join(directory, 'db'), { cacheBytes: 0 })
const key = (call) => `key:${call % KEYS}`
for (let call = 0; call < KEYS; call += 1) db.put(key(call), VALUE)
const target = Buffer.alloc(VALUE.length)
const many = Array.from({ length: 10 }, (_, at) => key(at))

// How many calls of the total each has, and what it does. Those that make much are called less often.
const kinds = {
  get: [0.2, (call) => db.get(key(call))],
  getString: [0.15, (call) => db.getString(key(call))],
  getInto: [0.15, (call) => db.getInto(key(call), target)],
  put: [0.15, (call) => db.put(key(call), VALUE)],
  exists: [0.15, (call) => db.exists(`absent:${call}`)],
  delete: [0.1, (call) => db.delete(`absent:${call}`)],
  'compareAndSwap and take': [0.02, (call) => db.compareAndSwap('swapped', undefined, key(call)) && db.take('swapped')],
  increment: [0.02, () => db.increment('count')],
  getMany: [0.01, () => db.getMany(many)],
  range: [0.01, () => db.range({ prefix: 'key:1', limit: 10 })],
  'a scan that is left': [0.01, () => db.iter().return()],
  transact: [0.01, (call) => db.transact((transaction) => transaction.put('default', key(call), VALUE))],
  writeBatch: [0.01, (call) => db.writeBatch([{ type: 'put', key: key(call), value: VALUE }])],
  snapshot: [0.01, () => db.snapshot().close()],
}
const promises = {
  putAsync: [0.001, (call) => db.putAsync(key(call), VALUE)],
  'transact, asynchronous': [0.0005, (call) => db.transact(async (transaction) => transaction.put('default', key(call), VALUE))],
  'for await': [0.0005, async () => { for await (const _ of db.iter({ limit: 200 })); }],
}

let growing = 0

async function measure(name, count, repeat) {
  await repeat(Math.ceil(count / 10))
  let growth = Infinity
  for (let tries = 0; tries < TRIES && growth > GROWTH_BYTES_MAX; tries += 1) {
    const before = residentBytes()
    await repeat(count)
    growth = residentBytes() - before
  }
  console.log(`${name.padEnd(28)} ${String(count).padStart(9)} ${String(growth >> 10).padStart(8)} KiB`)
  if (growth > GROWTH_BYTES_MAX) growing += 1
}

for (const [name, [share, call]] of Object.entries(kinds)) {
  await measure(name, Math.ceil(calls * share), async (count) => {
    // In pieces, so that the event loop has its turn, as it has in any program.
    for (let done = 0; done < count; ) {
      for (const end = Math.min(done + 10_000, count); done < end; done += 1) call(done)
      await new Promise(setImmediate)
    }
  })
}
for (const [name, [share, call]] of Object.entries(promises)) {
  await measure(name, Math.ceil(calls * share), async (count) => {
    for (let done = 0; done < count; done += 1) await call(done)
  })
}
db.close()

const openDescriptors = descriptors()
await measure('opened and closed', openings, async (count) => {
  for (let done = 0; done < count; done += 1) {
    const opened = open(join(directory, 'opened'))
    opened.put('key', String(done))
    opened.close()
    if (done % 10 === 0) await new Promise(setImmediate)
  }
})
const left = descriptors() - openDescriptors
console.log(`descriptors left: ${left}`)
console.log(growing === 0 && left <= 0 ? 'memory is flat' : 'memory grows')
process.exitCode = growing === 0 && left <= 0 ? 0 : 1
