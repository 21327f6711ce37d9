// A cache in front of a slow interface: answers stay for some time, and several that ask at once wait for one request.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'opendb'

export class CachedFetch {
  #answers
  #milliseconds
  #request
  #pending = new Map()

  constructor(db, request, milliseconds) {
    // Answers are text that compresses well.
    this.#answers = db.keyspace('answers', { compression: 'lz4' })
    this.#request = request
    this.#milliseconds = milliseconds
  }

  async get(url) {
    const known = this.#answers.get(url)
    if (known !== undefined && known.readDoubleLE(0) > Date.now()) return JSON.parse(known.subarray(8))
    const pending = this.#pending.get(url) ?? this.#fetch(url)
    this.#pending.set(url, pending)
    return pending
  }

  async #fetch(url) {
    try {
      const answer = await this.#request(url)
      const until = Buffer.alloc(8)
      until.writeDoubleLE(Date.now() + this.#milliseconds)
      this.#answers.put(url, Buffer.concat([until, Buffer.from(JSON.stringify(answer))]))
      return answer
    } finally {
      this.#pending.delete(url)
    }
  }
}

let requests = 0
async function slowly(url) {
  requests += 1
  await new Promise((resolve) => setTimeout(resolve, 20))
  return { url, words: 'again and '.repeat(100) }
}

const db = open(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'opendb-')))
const cached = new CachedFetch(db, slowly, 60_000)
await Promise.all([cached.get('/users/1'), cached.get('/users/1'), cached.get('/users/2')])
console.log((await cached.get('/users/1')).url, 'requests', requests)

const short = new CachedFetch(db, slowly, 0)
await short.get('/users/3')
await short.get('/users/3')
console.log('requests', requests)
db.close()
