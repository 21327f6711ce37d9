'use strict'

const { EventEmitter } = require('node:events')
const { OpenDB, open } = require('opendb')

const { removeKeys } = require('./remove.cjs')

// A value stands behind the time at which it expires: milliseconds since 1970 as a double, little endian; 0 for never.
const EXPIRY_BYTES = 8

/** What Keyv stores its entries in. */
class KeyvOpenDB extends EventEmitter {
  #database
  #isOwn
  #name
  #entries

  constructor(database, options = {}) {
    super()
    this.#isOwn = !(database instanceof OpenDB)
    this.#database = this.#isOwn ? open(database, options.opendb) : database
    this.#name = options.keyspace ?? 'keyv'
    this.#entries = this.#database.keyspace(this.#name)
    // Keyv iterates over a store only where it knows the dialect, from a list of its own, and asks for it nowhere else.
    this.opts = { dialect: 'sqlite', ...options }
    // Keyv sets it to the namespace of whoever uses the store, with which it begins its keys.
    this.namespace = options.namespace
  }

  get #prefix() {
    return this.namespace === undefined ? '' : `${this.namespace}:`
  }

  /** The value in an entry, if its time is not over. */
  #valueOf(entry) {
    if (entry === undefined || isOver(entry)) return undefined
    return entry.toString('utf8', EXPIRY_BYTES)
  }

  async get(key) {
    return this.#valueOf(this.#entries.get(key))
  }

  async getMany(keys) {
    return this.#entries.getMany(keys).map((entry) => this.#valueOf(entry))
  }

  async set(key, value, ttl) {
    this.#entries.put(key, toEntry(value, ttl))
    return true
  }

  async setMany(entries) {
    const batch = this.#database.batch()
    for (const { key, value, ttl } of entries) batch.put(this.#name, key, toEntry(value, ttl))
    batch.commit()
  }

  async has(key) {
    return this.#valueOf(this.#entries.get(key)) !== undefined
  }

  async hasMany(keys) {
    return this.#entries.getMany(keys).map((entry) => this.#valueOf(entry) !== undefined)
  }

  async delete(key) {
    return this.#entries.take(key) !== undefined
  }

  async deleteMany(keys) {
    return this.#database.transact((transaction) => {
      const there = keys.filter((key) => transaction.exists(this.#name, key))
      for (const key of there) transaction.delete(this.#name, key)
      return there.length > 0
    })
  }

  async clear() {
    removeKeys(this.#database, this.#name, this.#entries.keys({ prefix: this.#prefix }))
  }

  /** Removes what is over, of all namespaces, and tells how much that was. What is over is not given out before either. */
  async deleteExpired() {
    let removed = 0
    for (const [key, entry] of this.#entries.iter()) {
      // One that was set anew meanwhile stays.
      if (isOver(entry) && this.#entries.compareAndSwap(key, entry, undefined)) removed += 1
    }
    return removed
  }

  async *iterator(namespace = this.namespace) {
    const prefix = namespace === undefined ? '' : `${namespace}:`
    for (const [key, entry] of this.#entries.iter({ prefix })) {
      const value = this.#valueOf(entry)
      if (value !== undefined) yield [key.toString(), value]
    }
  }

  async disconnect() {
    if (this.#isOwn) this.#database.close()
  }
}

function isOver(entry) {
  const expiry = entry.readDoubleLE(0)
  return expiry !== 0 && expiry <= Date.now()
}

function toEntry(value, ttl) {
  const bytes = Buffer.from(value)
  const entry = Buffer.allocUnsafe(EXPIRY_BYTES + bytes.length)
  entry.writeDoubleLE(ttl === undefined ? 0 : Date.now() + ttl, 0)
  bytes.copy(entry, EXPIRY_BYTES)
  return entry
}

module.exports = { KeyvOpenDB, default: KeyvOpenDB }
