// A job queue that survives its process: each job is given to one worker, and again to another where that one has died.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'opendb'

/** Numbers whose order as keys is theirs: the highest byte first. */
function toKey(number) {
  const key = Buffer.alloc(8)
  key.writeBigUInt64BE(BigInt(number))
  return key
}

export class Jobs {
  #db
  #leaseMilliseconds

  constructor(db, leaseMilliseconds = 30_000) {
    this.#db = db
    this.#leaseMilliseconds = leaseMilliseconds
    for (const name of ['waiting', 'running']) db.keyspace(name)
  }

  /** Resolves when the job is on the device: whoever hands it over may forget it, also if the power fails. */
  async add(job) {
    const number = this.#db.increment('last job')
    await this.#db.keyspace('waiting').putAsync(toKey(number), JSON.stringify(job), { durability: 'sync' })
  }

  /** The next job, to be `done` before its lease is over; undefined where none waits. */
  claim() {
    return this.#db.transact((transaction) => {
      const [next] = transaction.range('waiting', { limit: 1 })
      if (next === undefined) return undefined
      const [number, job] = next
      const until = Date.now() + this.#leaseMilliseconds
      transaction.delete('waiting', number)
      transaction.put('running', number, Buffer.concat([toKey(until), job]))
      return { number: Buffer.from(number), job: JSON.parse(job) }
    })
  }

  /** Ends a job. False where its lease was over and it has gone to somebody else, or is done. */
  done({ number }) {
    return this.#db.keyspace('running').take(number) !== undefined
  }

  /** Lets jobs wait again whose workers have not ended them in time, and tells how many. */
  putBack() {
    return this.#db.transact((transaction) => {
      const now = toKey(Date.now())
      const late = transaction.range('running').filter(([, job]) => job.compare(now, 0, 8, 0, 8) <= 0)
      for (const [number, job] of late) {
        transaction.delete('running', number)
        transaction.put('waiting', number, job.subarray(8))
      }
      return late.length
    })
  }
}

const db = open(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'opendb-')))
const jobs = new Jobs(db)
await Promise.all(Array.from({ length: 20 }, (_, number) => jobs.add({ number })))

const done = []
async function work() {
  for (let claimed; (claimed = jobs.claim()) !== undefined; ) {
    await new Promise(setImmediate)
    done.push(claimed.job.number)
    jobs.done(claimed)
  }
}
await Promise.all([work(), work(), work()])
console.log('done', done.length, 'different', new Set(done).size)

// A worker that claims a job and dies keeps nobody from it for longer than its lease.
const hasty = new Jobs(db, 0)
await hasty.add({ left: 'behind' })
hasty.claim()
console.log('put back', hasty.putBack(), 'claimed again', hasty.claim()?.job)
await db.closeAsync()
