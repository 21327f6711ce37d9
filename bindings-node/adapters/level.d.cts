import type {
  AbstractBatchOperation,
  AbstractBatchOptions,
  AbstractDatabaseOptions,
  AbstractDelOptions,
  AbstractLevel,
  AbstractPutOptions,
} from 'abstract-level'
import type { OpenDB, OpenOptions } from 'opendb'

/** What of a write may wait for the device. */
export interface SyncOptions {
  /** Whether the write is on the device before its promise resolves (default: false; see `Durability` of the package). */
  sync?: boolean | undefined
}

/** How a database is made. */
export interface OpenDBLevelOptions<K, V> extends AbstractDatabaseOptions<K, V> {
  /** The keyspace, created where it is missing (default: `'default'`). */
  keyspace?: string | undefined
  /** How the directory is opened; what is created is for `createIfMissing` and `errorIfExists`. */
  opendb?: Omit<OpenOptions, 'create'> | undefined
}

/**
 * A database with the interface of the Level family (`abstract-level`): encodings, sublevels, iterators with `seek`, snapshots,
 * batches and `getSync`. It passes the suite that abstract-level publishes.
 *
 * Reads and buffered writes are done when the call is made and not in another thread, since they are over sooner than one would be
 * asked; those with `sync`, and opening, are done in the thread pool of Node.js. Keys and values as text must be well-formed.
 *
 * An error has its code as `cause` where abstract-level puts one of its own around it, such as `OPENDB_LOCKED`.
 *
 * @example
 * const db = new OpenDBLevel('./db', { valueEncoding: 'json' })
 * await db.put('user:1', { name: 'Ada' })
 * for await (const [key, value] of db.iterator({ gte: 'user:', lt: 'user;' })) console.log(key, value)
 */
export class OpenDBLevel<KDefault = string, VDefault = string> extends AbstractLevel<
  string | Buffer | Uint8Array,
  KDefault,
  VDefault
> {
  /** @param location The directory, which is opened at the next turn of the event loop; operations wait for it. */
  constructor(location: string, options?: OpenDBLevelOptions<KDefault, VDefault>)
  /** The directory. */
  get location(): string
  /** The database below, for what the Level family does not have: transactions, compaction, backups. Undefined before it is open. */
  get opendb(): OpenDB | undefined
  /** Stores a value under a key. */
  put(key: KDefault, value: VDefault): Promise<void>
  put<K = KDefault, V = VDefault>(key: K, value: V, options: AbstractPutOptions<K, V> & SyncOptions): Promise<void>
  /** Removes a key. */
  del(key: KDefault): Promise<void>
  del<K = KDefault>(key: K, options: AbstractDelOptions<K> & SyncOptions): Promise<void>
  /** Applies many writes, all together or not at all. */
  batch(operations: Array<AbstractBatchOperation<typeof this, KDefault, VDefault>>): Promise<void>
  batch<K = KDefault, V = VDefault>(
    operations: Array<AbstractBatchOperation<typeof this, K, V>>,
    options: AbstractBatchOptions<K, V> & SyncOptions,
  ): Promise<void>
  batch(): ReturnType<AbstractLevel<string | Buffer | Uint8Array, KDefault, VDefault>['batch']>
}
