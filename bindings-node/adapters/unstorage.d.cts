import type { OpenDB, OpenOptions } from 'opendb'
import type { Driver } from 'unstorage'

/** Where the items are. */
export interface OpenDBDriverOptions {
  /** The directory, which is opened with the first use and closed by `dispose`. */
  base?: string | undefined
  /** A database that is open, in place of `base`; it stays open. */
  database?: OpenDB | undefined
  /** The keyspace, created where it is missing (default: `'default'`). */
  keyspace?: string | undefined
  /** How the directory is opened. */
  opendb?: OpenOptions | undefined
}

/**
 * A driver for unstorage: items as UTF-8 or bytes, many at once, keys of a depth.
 *
 * @throws TypeError without `base` and `database`
 * @example
 * const storage = createStorage({ driver: openDBDriver({ base: './db' }) })
 * await storage.setItem('user:1', { name: 'Ada' })
 */
export function openDBDriver(options: OpenDBDriverOptions): Driver<OpenDBDriverOptions, OpenDB>

export default openDBDriver
