import type { EventEmitter } from 'node:events'
import type { OpenDB, OpenOptions } from 'opendb'

/** How a store is made. */
export interface KeyvOpenDBOptions {
  /** The keyspace, created where it is missing (default: `'keyv'`). It holds nothing else. */
  keyspace?: string | undefined
  /** The namespace; Keyv sets it to its own. */
  namespace?: string | undefined
  /** How the directory is opened. */
  opendb?: OpenOptions | undefined
}

/**
 * A store for Keyv, with namespaces and expiry. It passes the suite that Keyv publishes.
 *
 * An entry is the value behind the time at which it expires: a double, little endian, milliseconds since 1970, 0 for never. What is over is not
 * given out, and takes room until `deleteExpired`, `delete` or `clear`.
 *
 * @example
 * const keyv = new Keyv({ store: new KeyvOpenDB('./cache'), namespace: 'users', ttl: 60_000 })
 * await keyv.set('1', { name: 'Ada' })
 */
export class KeyvOpenDB extends EventEmitter {
  /** @param database The directory, or a database that is open, which stays open when Keyv disconnects. */
  constructor(database: string | URL | OpenDB, options?: KeyvOpenDBOptions)
  /** What Keyv reads of it. */
  opts: Record<string, unknown>
  /** The namespace that `clear` and `iterator` stay in; keys come with it. */
  namespace: string | undefined
  /** The value of a key, undefined where it is absent or over. */
  get<Value>(key: string): Promise<Value | undefined>
  /** The values of many keys, as of one moment. */
  getMany<Value>(keys: string[]): Promise<Array<Value | undefined>>
  /** Stores a value, for so many milliseconds or for ever. */
  set(key: string, value: string, ttl?: number): Promise<true>
  /** Stores many values, all together or not at all. */
  setMany(entries: Array<{ key: string; value: string; ttl?: number }>): Promise<void>
  /** Whether a key is there and not over. */
  has(key: string): Promise<boolean>
  /** The same for many keys, as of one moment. */
  hasMany(keys: string[]): Promise<boolean[]>
  /** Removes a key, and tells whether it was there. */
  delete(key: string): Promise<boolean>
  /** Removes many keys, all together, and tells whether any was there. */
  deleteMany(keys: string[]): Promise<boolean>
  /** Removes everything of its namespace, in steps; without a namespace, everything. */
  clear(): Promise<void>
  /** Removes what is over, of all namespaces, and tells how much that was. */
  deleteExpired(): Promise<number>
  /** Keys and values of a namespace, in the order of the keys, as of one moment. */
  iterator(namespace?: string): AsyncGenerator<[key: string, value: string], void>
  /** Closes the database, unless it was given open. */
  disconnect(): Promise<void>
}

export default KeyvOpenDB
