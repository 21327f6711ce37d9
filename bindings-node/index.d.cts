/// <reference types="node" />

/**
 * OpenDB: an embedded key-value store with sorted scans, serializable transactions and snapshots.
 *
 * Keys and values are bytes. Where a call takes {@link Bytes}, a string stands for its UTF-8 bytes. A key has 0 to
 * 65,535 bytes, a value up to 4 GiB - 1. Every call throws {@link OpenDBError}, and every promise rejects with it; the
 * codes named below are those that belong to a call, and besides them any call may meet `OPENDB_CLOSED`,
 * `OPENDB_INVALID_ARGUMENT`, `OPENDB_FORKED` and `OPENDB_INTERNAL`.
 *
 * Calls without `Async` in their name run on the calling thread and return when they are done. Those that return a
 * promise run on the thread pool of Node.js, with a copy of what they were given.
 *
 * Iterators, transactions, batches, snapshots, and readers and writers of values hold memory outside the JavaScript heap.
 * One that has ended gives it back at once: an iterator at its end, after an error, or when a loop over it is left; a transaction that is committed
 * or rolled back; a batch that is committed; a snapshot or reader that is closed; a writer that is finished; any of them that `using` disposes of. One that
 * is dropped unfinished waits for the garbage collector, and after it for the next turn of the event loop: Node.js
 * frees such memory at no other time, so a long loop that drops them and never returns to the event loop grows.
 * End what you begin.
 *
 * @packageDocumentation
 */

/**
 * Bytes on the way in: a `Buffer` or `Uint8Array` as it is, a string as UTF-8. A string with half of a surrogate pair
 * has no UTF-8 and is `OPENDB_INVALID_ARGUMENT`.
 */
export type Bytes = string | Uint8Array

/** A key and its value. */
export type Entry = [key: Buffer, value: Buffer]

/**
 * What a write waits for before it returns.
 *
 * - `'buffered'`: the write survives the death of the process at any instant. The device is synced in the background at
 *   least once a second, so a power cut loses at most the last second.
 * - `'sync'`: the write is on the device before the call returns. Concurrent writers share one sync.
 */
export type Durability = 'buffered' | 'sync'

/** How a database is opened. An unknown name is an error. */
export interface OpenOptions {
  /** Whether a missing directory or database is created (default: true). */
  create?: boolean | undefined
  /** What writes wait for unless they say otherwise (default: `'buffered'`). */
  durability?: Durability | undefined
  /**
   * How the log is appended to (default: `'auto'`): `'mapped'` stores into a shared mapping, `'write'` makes one
   * positioned write for each commit, `'auto'` is `'mapped'` where the filesystem keeps the room it promised.
   */
  append?: 'auto' | 'mapped' | 'write' | undefined
  /** Whether segments are read through memory maps (default: true). */
  mappedReads?: boolean | undefined
  /** Bound of the cache, in bytes (default: 64 MiB); 0 turns it off. */
  cacheBytes?: number | undefined
  /** Size of new segments, in bytes, from 64 KiB to 256 MiB (default: 8 MiB, growing as the database grows). */
  segmentBytes?: number | undefined
  /** Opens a damaged database for reading what is still readable (default: false); writes are `OPENDB_READ_ONLY`. */
  readDamaged?: boolean | undefined
  /**
   * Opens for reading only (default: false), without a lock and without any change of the directory: beside a process
   * that writes, beside any number of others that read, or from what cannot be written to. What the other process commits
   * is seen within milliseconds; writes are `OPENDB_READ_ONLY`.
   */
  readOnly?: boolean | undefined
  /**
   * How many milliseconds to wait for another process that has the directory open for writing (default: 0), before that is
   * `OPENDB_LOCKED`. `open` blocks meanwhile, `openAsync` does not. Nobody waits with `readOnly`.
   */
  lockTimeout?: number | undefined
}

/** How a write is done. */
export interface WriteOptions {
  /** What the write waits for (default: as the database was opened). */
  durability?: Durability | undefined
}

/** How work is run in transactions. */
export interface TransactOptions extends WriteOptions {
  /** How often it is run again after a conflict, at most (default: 99). */
  retries?: number | undefined
}

/** A write of {@link OpenDB.writeBatch}. */
export type Operation =
  | { type: 'put'; keyspace?: string | undefined; key: Bytes; value: Bytes }
  | { type: 'delete'; keyspace?: string | undefined; key: Bytes }

/** How a keyspace is created, or changed. */
export interface KeyspaceOptions {
  /**
   * How its values are stored from now on: `'none'` as they are, `'lz4'` compressed where that is smaller (default: as they
   * are until now, and `'none'` in a new keyspace). Values over 1 MiB are stored as they are. The setting stays with the
   * keyspace.
   */
  compression?: Compression | undefined
}

/** How the values of a keyspace are stored. */
export type Compression = 'none' | 'lz4'

/** What a scan covers. An entry is given if all that is set holds for it; without any, all entries are. */
export interface ScanOptions {
  /** Only keys that start with these bytes. */
  prefix?: Bytes | undefined
  /** Only keys from this one on, itself included. */
  start?: Bytes | undefined
  /** Only keys below this one, itself not included. */
  end?: Bytes | undefined
  /** Only keys after this one in the direction of the scan: where an earlier scan stopped, it goes on. */
  startAfter?: Bytes | undefined
  /** From the highest key to the lowest (default: false). */
  reverse?: boolean | undefined
  /** Most entries to give (default: no bound). */
  limit?: number | undefined
}

/** What a database holds and has done since it was opened. Numbers are exact up to 2^53. */
export interface Stats {
  /** Keys in all keyspaces. */
  keys: number
  /** Keyspaces, `"default"` included. */
  keyspaces: number
  /** Segment files. */
  segments: number
  /** Frames in the log, in bytes. */
  logBytes: number
  /** Records that are current, in bytes. */
  liveBytes: number
  /** Records that were overwritten or deleted, in bytes. */
  deadBytes: number
  /** Room taken on the device, in bytes. */
  allocatedBytes: number
  /** Commits appended to the log, in bytes. */
  bytesAppended: number
  /** Records that compaction has written anew, in bytes. */
  bytesCopied: number
  /** Checkpoints written, in bytes. */
  bytesCheckpointed: number
  /** Hints written, in bytes. */
  bytesHinted: number
  /** Key runs written, in bytes. */
  bytesOrdered: number
  /** Compactions, each of some segments. */
  compactions: number
  /** Checkpoints. */
  checkpoints: number
  /** Segments of large values, in bytes. */
  largeBytes: number
  /** Large values that are current, in bytes. */
  largeLiveBytes: number
  /** Sequence of the newest commit. */
  lastSequence: number
  /** Sequence up to which all commits are on the device. */
  durableSequence: number
  /** Syncs of the device. */
  syncs: number
  /** Snapshots alive, those of transactions and iterators among them. */
  snapshots: number
  /** Age of the oldest snapshot, in seconds; 0 where there is none. */
  oldestSnapshotSeconds: number
  /** Segments that are kept only for snapshots and readers, in bytes. */
  pinnedBytes: number
  /** Older versions kept for snapshots. */
  versions: number
  /** Memory of the table of older versions, in bytes, about. */
  versionsBytes: number
  /** Memory of the index, in bytes. */
  indexBytes: number
  /** Memory of the key order, in bytes. */
  orderBytes: number
  /** Key runs on the device. */
  orderRuns: number
  /** Key runs on the device, in bytes. */
  orderFileBytes: number
  /** Memory of the cache, in bytes. */
  cacheBytes: number
  /** Reads that the cache answered. */
  cacheHits: number
  /** Reads that the cache could not answer. */
  cacheMisses: number
  /** Values that the cache took in. */
  cacheAdmissions: number
  /** Bytes written to files for each byte of commits; 0 before the first commit. */
  writeAmplification: number
  /** Bytes of segment and run files for each byte that is current; 0 for an empty database. */
  spaceAmplification: number
  /** How the log is appended to: what `'auto'` became. */
  append: 'auto' | 'mapped' | 'write'
  /** Whether writes are refused since an earlier one failed. */
  poisoned: boolean
  /** What opening the database found. */
  recovery: Recovery
}

/** What {@link OpenDB.compact} has done. */
export interface Compaction {
  /** Segment files that were given up. */
  segmentsRemoved: number
  /** Records that were written anew, in bytes. */
  bytesCopied: number
  /** The segments that were given up, less those that took their place, in bytes. */
  bytesFreed: number
}

/** What {@link OpenDB.verify} has found. */
export interface Verification {
  /** Segments whose records were all read and checked. */
  segments: number
  /** Records that were read and checked, current or not. */
  records: number
  /** Keys that were found in the index, in the order and in the log. */
  keys: number
  /** Whether counts were compared as well, for which nobody may write meanwhile. */
  countsCompared: boolean
  /** Everything that is not as it must be, at most 10,000 of it. Empty where all is well. */
  violations: Violation[]
}

/** Something that is not as it must be, with its place. */
export interface Violation {
  /** Serial of the segment; 0 where it is of none. */
  segment: number
  /** Where in that segment it is, in bytes; 0 where it is of no place. */
  offset: number
  /** What is wrong. */
  reason: string
}

/** What {@link OpenDB.backup} has done. */
export interface Backup {
  /** Sequence of the last commit that is in the backup. */
  sequence: number
  /** Segments whose files the backup shares with the database. */
  segmentsLinked: number
  /** Segments that were copied. */
  segmentsCopied: number
  /** What was copied, in bytes. */
  bytesCopied: number
}

/** What {@link OpenDB.salvage} has brought over. */
export interface Salvage {
  /** Keys that are in the new database. */
  keys: number
  /** Keyspaces of the new database, `"default"` included. */
  keyspaces: number
  /**
   * What could not be read, one sentence for each place: at most 10,000 of them, and then one that tells how many more
   * there are. Empty where nothing was lost.
   */
  lost: string[]
}

/** What opening a database found. */
export interface Recovery {
  /** Whether the last close was clean. */
  clean: boolean
  /** Frames that were read. */
  frames: number
  /** Frames of the unsynced tail that were written anew. */
  framesRewritten: number
  /** The torn tail that was dropped, in bytes. */
  bytesDropped: number
  /** Serial of the segment with the torn tail; 0 if there was none. */
  tornSegment: number
  /** Where the torn tail began in it, in bytes. */
  tornOffset: number
  /** Damage that was met, one line each. */
  damaged: string[]
}

/** Why a call failed. The list may grow. */
export type ErrorCode =
  /** The files are not what they have to be, or an internal limit was reached. */
  | 'OPENDB_STORAGE'
  /** The cache could not do its work; the data are not affected. */
  | 'OPENDB_CACHE'
  /** The transaction conflicts with one that committed after it began. Nothing of it was applied; run it again. */
  | 'OPENDB_TRANSACTION'
  /** Bytes that had been durable are damaged: `segment` and `offset` say where. */
  | 'OPENDB_CORRUPTION'
  /** An argument is of a wrong type or outside its limits, or the object has ended (committed, rolled back, closed). */
  | 'OPENDB_INVALID_ARGUMENT'
  /** A transaction, batch or snapshot named a keyspace that was never created. */
  | 'OPENDB_KEYSPACE_NOT_FOUND'
  /** Another process has the directory open for writing. */
  | 'OPENDB_LOCKED'
  /** The database was closed. */
  | 'OPENDB_CLOSED'
  /** The database is open for reading only. */
  | 'OPENDB_READ_ONLY'
  /** The device is full. Nothing of the write is there; the same object goes on once there is room. */
  | 'OPENDB_NO_SPACE'
  /** The operating system refused a call. */
  | 'OPENDB_IO'
  /** An earlier write failed, so writes are refused until the database is opened again. */
  | 'OPENDB_POISONED'
  /** The directory was written by a newer version. Nothing in it was touched. */
  | 'OPENDB_UNSUPPORTED'
  /** The database was opened before a `fork`. */
  | 'OPENDB_FORKED'
  /** OpenDB broke one of its own rules. Please report it. */
  | 'OPENDB_INTERNAL'

/** What every call throws and every promise rejects with. Messages never contain bytes of keys or values. */
export class OpenDBError extends Error {
  private constructor()
  /** Why the call failed. */
  readonly code: ErrorCode
  /** The number of `code`: stable, and the same in every language. */
  readonly kind: number
  /** Whether the same work, done again from its beginning, may succeed: a conflict, or a directory in use. */
  readonly retryable: boolean
  /** For `OPENDB_CORRUPTION`: serial of the damaged segment; 0 is the manifest. */
  readonly segment?: number
  /** For `OPENDB_CORRUPTION`: where in that file the damage is, in bytes. */
  readonly offset?: number
}

/**
 * An iterator over one consistent moment, for `for...of`, and for `for await`, which reads on the thread pool so that nothing waits for
 * a long scan. It is lazy: entries come in pages of at most about 64 KiB, or of one entry if that is larger.
 *
 * The Buffers it gives are views of their page and keep it in memory: to keep few entries of many, copy them with
 * `Buffer.from`. It is closed at its end, by an error of `next`, by leaving a `for...of` early, by `return()` and by
 * `using`; one that is dropped in the middle, also within a generator, waits for the garbage collector and the event
 * loop. An open one does not hold up `close` of the database: after it, `next` throws `OPENDB_CLOSED`.
 */
export class ScanIterator<T> implements IterableIterator<T> {
  private constructor()
  /**
   * The next entry in key order.
   *
   * @throws `OPENDB_CORRUPTION`, `OPENDB_IO`
   */
  next(): IteratorResult<T, undefined>
  /** Closes the iterator; `next` is at the end from then on. */
  return(): IteratorResult<T, undefined>
  /** The iterator itself. */
  [Symbol.iterator](): this
  /** The entries from here on, for `for await`. Leaving it closes the iterator. */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined>
  /** Closes the iterator. */
  [Symbol.dispose](): void
}

/** The calls that read. {@link OpenDB} and {@link Keyspace} see the newest commits, {@link Snapshot} one moment. */
export interface Readable {
  /**
   * The value of a key, `undefined` where it is absent.
   *
   * @throws `OPENDB_CORRUPTION`, `OPENDB_IO`
   */
  get(key: Bytes): Buffer | undefined
  /** The same, read as UTF-8 text. */
  getString(key: Bytes): string | undefined
  /**
   * The length of a value, which is copied to the beginning of `target` where it fits there; a longer one is not copied. `undefined`
   * where the key is absent. For many reads into the same memory.
   *
   * @throws what `get` throws
   */
  getInto(key: Bytes, target: Uint8Array): number | undefined
  /**
   * The values of many keys, in the order of the keys and as of one moment, `undefined` for each that is absent. Faster than
   * as many calls of `get`. All values are in memory together; those up to 4 KiB share a piece of it, which is there until
   * the last of them is gone.
   *
   * @throws `OPENDB_INVALID_ARGUMENT` for a key over 65535 bytes, `OPENDB_CORRUPTION`, `OPENDB_IO`
   */
  getMany(keys: readonly Bytes[]): (Buffer | undefined)[]
  /**
   * The value of a key, to be read piece by piece, `undefined` where it is absent.
   *
   * @throws `OPENDB_CORRUPTION`, `OPENDB_IO`
   */
  valueReader(key: Bytes): ValueReader | undefined
  /** Whether a key is there. Cheaper than `get`: the value is never read. */
  exists(key: Bytes): boolean
  /** All entries whose key starts with the prefix, sorted by key in byte order, of one moment. */
  scanPrefix(prefix: Bytes): Entry[]
  /** All entries of a range, in key order, of one moment: what `iter` gives, collected. Bound it, or all of the store is in memory. */
  range(options?: ScanOptions): Entry[]
  /** Iterates over keys and values, in key order, of the moment of this call. */
  iter(options?: ScanOptions): ScanIterator<Entry>
  /** Iterates over keys, never reading values, in key order, of the moment of this call. */
  keys(options?: ScanOptions): ScanIterator<Buffer>
}

/** The calls that write, each a commit of its own. */
export interface Writable {
  /** How many keys there are: exact, and as cheap as a field. */
  readonly size: number
  /**
   * Stores a value under a key, over what is there.
   *
   * @throws `OPENDB_NO_SPACE`, `OPENDB_READ_ONLY`, `OPENDB_POISONED`, `OPENDB_IO`
   */
  put(key: Bytes, value: Bytes, options?: WriteOptions): void
  /** As `put`, on the thread pool: for `{ durability: 'sync' }`, which waits for the device. */
  putAsync(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void>
  /**
   * Begins a value of `length` bytes, which is written piece by piece and stored under the key when it is finished.
   *
   * @throws what `put` throws
   */
  valueWriter(key: Bytes, length: number): ValueWriter
  /**
   * Removes a key. An absent one is no error.
   *
   * @throws `OPENDB_NO_SPACE`, `OPENDB_READ_ONLY`, `OPENDB_POISONED`, `OPENDB_IO`
   */
  delete(key: Bytes, options?: WriteOptions): void
  /** As `delete`, on the thread pool. */
  deleteAsync(key: Bytes, options?: WriteOptions): Promise<void>
  /**
   * Stores `replacement` under a key where its value is `expected`, and tells whether it was; nobody else changes the key in
   * between. `undefined` stands for a key that is not there: it is created only where it is missing, or removed.
   *
   * @throws what `put` and `get` throw
   */
  compareAndSwap(
    key: Bytes,
    expected: Bytes | undefined,
    replacement: Bytes | undefined,
    options?: WriteOptions,
  ): boolean
  /**
   * Removes a key and returns the value that it had: of those who take the same key at once one gets it. `undefined`, and nothing
   * is written, where it is absent.
   *
   * @throws what `put` and `get` throw
   */
  take(key: Bytes, options?: WriteOptions): Buffer | undefined
  /**
   * Adds to the number under a key, 0 where it is absent, and returns the sum; nobody else changes the key in between. Numbers
   * are 8 bytes, little endian, signed: what `Buffer.writeBigInt64LE` writes. The sum is a `bigint` where `by` is one;
   * otherwise it is a `number`, which is exact up to 2^53 - 1.
   *
   * @throws what `put` and `get` throw; `OPENDB_INVALID_ARGUMENT`, with nothing written, where the value does not have 8 bytes
   *   or the sum is beyond what they hold
   */
  increment<N extends number | bigint = number>(
    key: Bytes,
    by?: N,
    options?: WriteOptions,
  ): N extends bigint ? bigint : number
}

export interface OpenDB extends Readable, Writable {}
/**
 * A database that is open. Its key-value calls work on the keyspace `"default"`.
 *
 * Opening a directory again in the same process, also in a worker thread, gives another object over the same database;
 * another process gets `OPENDB_LOCKED`. An object that is not closed is closed by the garbage collector or at exit.
 */
export class OpenDB {
  /**
   * Opens a database: the same as {@link open}.
   *
   * @param path The directory, as a string or a `file:` URL; neither empty nor with a NUL character.
   * @throws `OPENDB_LOCKED`, `OPENDB_CORRUPTION`, `OPENDB_UNSUPPORTED`, `OPENDB_NO_SPACE`, `OPENDB_IO`
   */
  constructor(path: string | URL, options?: OpenOptions)
  /**
   * Makes a new database of everything that can be read of a damaged one, and tells what cannot.
   *
   * The damaged directory is not changed, but for its lock file; its manifest need not even be there. Where a commit is
   * lost, its keys have the values that they had before, or none, and keys that it deleted come back. Keys are held in
   * memory meanwhile.
   *
   * @param into Created, or empty, and not inside of the damaged directory; after an error it holds a part of what was read.
   * @throws `OPENDB_IO` where there is no database, `OPENDB_LOCKED` while somebody has it open, `OPENDB_UNSUPPORTED`,
   *   `OPENDB_CORRUPTION` where not one segment tells whose it is, `OPENDB_INVALID_ARGUMENT`, `OPENDB_NO_SPACE`
   */
  static salvage(damaged: string | URL, into: string | URL): Salvage
  /** As `salvage`, on the thread pool. */
  static salvageAsync(damaged: string | URL, into: string | URL): Promise<Salvage>
  /** As `new OpenDB`. */
  static open(path: string | URL, options?: OpenOptions): OpenDB
  /** Opens a database on the thread pool: recovery after a crash takes time. */
  static openAsync(path: string | URL, options?: OpenOptions): Promise<OpenDB>
  /** The directory. */
  readonly path: string
  /**
   * The keyspace of this name, created if missing.
   *
   * @param name 1 to 255 bytes of UTF-8, without half of a surrogate pair. A database has at most 4,095 keyspaces.
   * @throws what `put` throws
   */
  keyspace(name: string, options?: KeyspaceOptions): Keyspace
  /** The names of all keyspaces, sorted, `"default"` included. */
  keyspaces(): string[]
  /** Collects many writes to apply in one step. */
  batch(): Batch
  /**
   * Applies many writes in one step or not at all; of several to one key the last one counts.
   *
   * @throws `OPENDB_KEYSPACE_NOT_FOUND`; what `put` throws
   * @example
   * db.writeBatch([
   *   { type: 'put', key: 'user:1', value: 'Ada' },
   *   { type: 'delete', keyspace: 'sessions', key: '42' },
   * ])
   */
  writeBatch(operations: readonly Operation[], options?: WriteOptions): void
  /** As `writeBatch`, on the thread pool: for `{ durability: 'sync' }`, which waits for the device. */
  writeBatchAsync(operations: readonly Operation[], options?: WriteOptions): Promise<void>
  /** Begins a transaction, to end with `commit`, `commitAsync` or `rollback`. */
  beginTransaction(): Transaction
  /**
   * Runs work in one transaction and returns what it returns. The transaction is committed when the work returns,
   * unless the work has ended it, and rolled back when it throws. The work is not run again on a conflict, and must
   * not be asynchronous.
   *
   * @throws what the work throws; `OPENDB_TRANSACTION` on a conflict
   */
  transaction<T>(work: (transaction: Transaction) => T, options?: WriteOptions): T
  /**
   * Runs work in a transaction and commits it; on a conflict the work is run again in a new one, a bounded number of
   * times, so it should do nothing besides, and not commit or roll back itself.
   *
   * Where the work is asynchronous so is this: its promise is waited for, and then the commit, on the thread pool. What else runs meanwhile
   * may conflict.
   *
   * @throws what the work throws; `OPENDB_TRANSACTION` where conflicts do not end
   * @example
   * const left = db.transact((transaction) => {
   *   const left = Number(transaction.getString('default', 'stock')) - 1
   *   transaction.put('default', 'stock', String(left))
   *   return left
   * })
   */
  transact<T>(work: (transaction: Transaction) => PromiseLike<T>, options?: TransactOptions): Promise<T>
  /** The same for work that is not asynchronous. */
  transact<T>(work: (transaction: Transaction) => T, options?: TransactOptions): T
  /** A view of the database as it is now. It looks at `"default"`; its `keyspace` gives the other ones. */
  snapshot(): Snapshot
  /**
   * Resolves when everything written so far is on the device.
   *
   * @throws `OPENDB_POISONED`, `OPENDB_IO`
   */
  flush(): Promise<void>
  /** As `flush`, on the calling thread. */
  flushSync(): void
  /**
   * Resolves when everything is seen that was committed before this call, by whatever process. It is for a database that was
   * opened with `readOnly`, which otherwise looks for new commits with each use, at most once in a millisecond. What it sees
   * only grows, by whole commits. Any other one sees every commit at once.
   *
   * @throws `OPENDB_IO`; `OPENDB_CORRUPTION` where another database has taken the place of the one that was opened
   */
  refresh(): Promise<void>
  /** As `refresh`, on the calling thread. */
  refreshSync(): void
  /** What the database holds and has done. */
  stats(): Stats
  /**
   * Gives back, at once, the room of everything that was overwritten or deleted. Without this call the same goes on in
   * the background whenever there is enough of it. Other threads read and write meanwhile.
   *
   * @param progress Told how far it has come, in bytes of segments, and, unless it was ended early, once more at the end. `false` ends the compaction
   *   early, and so does what it throws, which is thrown from here; what was done before stays done. It may read and write,
   *   but must not compact, verify, back up or close the database: those wait for this call.
   * @throws `OPENDB_NO_SPACE` without room for the copies, `OPENDB_CORRUPTION` where a segment cannot be read,
   *   `OPENDB_READ_ONLY`, `OPENDB_POISONED`, `OPENDB_IO`
   */
  compact(progress?: (bytesDone: number, bytesTotal: number) => unknown): Compaction
  /**
   * As `compact`, on the thread pool. `progress` is told some times a second, and may do what it likes; what it throws, or `false`, ends
   * the compaction at its next step.
   */
  compactAsync(progress?: (bytesDone: number, bytesTotal: number) => unknown): Promise<Compaction>
  /**
   * Looks at everything: reads and checks every record, follows every entry of the index and every key of the order, and
   * compares what is counted. Takes about as long as reading the whole database; other threads read and write meanwhile.
   * What is found to be wrong is in the result and throws nothing.
   */
  verify(): Verification
  /** As `verify`, on the thread pool. */
  verifyAsync(): Promise<Verification>
  /**
   * Makes a backup: a database of its own in another directory, with everything that was written before the call. Other
   * threads read and write meanwhile.
   *
   * Files that are not written to any more are shared with the backup where both directories are on one filesystem that
   * can do that, and are otherwise copied: a backup that is to outlive the device belongs on another one. What is
   * interrupted leaves a directory that is no database; empty it before it is used again. `verify` of the backup tells
   * whether its bytes are whole.
   *
   * @param directory Created, or empty; a string or a `file:` URL, not inside of the database's own directory.
   * @throws `OPENDB_INVALID_ARGUMENT` for a directory that is not empty or is inside, `OPENDB_LOCKED`, `OPENDB_NO_SPACE`,
   *   `OPENDB_IO`
   */
  backup(directory: string | URL): Backup
  /** As `backup`, on the thread pool. */
  backupAsync(directory: string | URL): Promise<Backup>
  /**
   * Closes the database. Afterwards every call of it, and of all that came from it, is `OPENDB_CLOSED`; closing again
   * is no error. The last object that closes waits for the device and lets other processes in. The memory of the
   * database is given back then, except for what unfinished iterators, transactions, batches, snapshots and readers of it hold.
   *
   * @throws `OPENDB_IO`
   */
  close(): void
  /**
   * As `close`; the thread pool waits for the device. Everything is `OPENDB_CLOSED` from this call on, also what is waited for; a promise of
   * a write that has begun says whether it was done.
   */
  closeAsync(): Promise<void>
  /** Closes the database. */
  [Symbol.dispose](): void
  /** Closes the database, with `closeAsync`. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface Keyspace extends Readable, Writable {}
/** A key space of its own within a database, from {@link OpenDB.keyspace}. */
export class Keyspace {
  private constructor()
  /** Its name. */
  readonly name: string
  /** How values are stored that are written from now on. */
  readonly compression: Compression
}

export interface Snapshot extends Readable {}
/**
 * A view of one moment, from {@link OpenDB.snapshot}. While it is open, the values it sees take room: close it, or take
 * it with `using`. One that is dropped open waits for the garbage collector and the event loop.
 */
export class Snapshot {
  private constructor()
  /**
   * The same moment of another keyspace, to be closed for itself.
   *
   * @throws `OPENDB_KEYSPACE_NOT_FOUND`
   */
  keyspace(name: string): Snapshot
  /** Gives the snapshot up. Its calls are `OPENDB_INVALID_ARGUMENT` from then on; closing again is no error. */
  close(): void
  /** Gives the snapshot up. */
  [Symbol.dispose](): void
}

/**
 * A serializable transaction, from {@link OpenDB.beginTransaction}: it reads its own writes and one snapshot, over all
 * keyspaces. Its first argument is the name of a keyspace, such as `'default'`; one that was never created is
 * `OPENDB_KEYSPACE_NOT_FOUND`. Once it has ended, its calls are `OPENDB_INVALID_ARGUMENT`. One that is dropped
 * unfinished applies nothing, and keeps its snapshot until the garbage collector and the event loop had their turn:
 * commit it, roll it back, or begin it with `using`.
 */
export class Transaction {
  private constructor()
  /** Whether it was neither committed nor rolled back. */
  readonly active: boolean
  /** The value of a key as this transaction sees it, `undefined` where it is absent. */
  get(keyspace: string, key: Bytes): Buffer | undefined
  /** The same, read as UTF-8 text. */
  getString(keyspace: string, key: Bytes): string | undefined
  /** The values of many keys as this transaction sees them, in the order of the keys; all of them count as read. */
  getMany(keyspace: string, keys: readonly Bytes[]): (Buffer | undefined)[]
  /** Stores a value under a key when the transaction commits. */
  put(keyspace: string, key: Bytes, value: Bytes): void
  /** Removes a key when the transaction commits. An absent one is no error. */
  delete(keyspace: string, key: Bytes): void
  /** Whether a key is there as this transaction sees it. */
  exists(keyspace: string, key: Bytes): boolean
  /** All entries whose key starts with the prefix, as this transaction sees them. */
  scanPrefix(keyspace: string, prefix: Bytes): Entry[]
  /** All entries of a range, as this transaction sees them. */
  range(keyspace: string, options?: ScanOptions): Entry[]
  /** Iterates over keys and values as this transaction sees them at this call. */
  iter(keyspace: string, options?: ScanOptions): ScanIterator<Entry>
  /** Iterates over keys as this transaction sees them at this call. */
  keys(keyspace: string, options?: ScanOptions): ScanIterator<Buffer>
  /**
   * Applies all writes in one step, unless what was read has changed meanwhile. The transaction has ended either way.
   *
   * @throws `OPENDB_TRANSACTION` on a conflict; what `put` of a database throws
   */
  commit(options?: WriteOptions): void
  /** As `commit`, on the thread pool. The transaction has ended when this returns its promise. */
  commitAsync(options?: WriteOptions): Promise<void>
  /** Drops all writes and ends the transaction. */
  rollback(): void
  /** Rolls back, if it has not ended. */
  [Symbol.dispose](): void
}

/**
 * Many writes that are applied in one step or not at all, from {@link OpenDB.batch}. It reads nothing and conflicts
 * with nothing; of several writes to one key the last one counts. Once it has ended, its calls are
 * `OPENDB_INVALID_ARGUMENT`.
 */
export class Batch {
  private constructor()
  /** How many writes it holds. */
  readonly size: number
  /**
   * Adds a value under a key. Returns the batch, for chains.
   *
   * @throws `OPENDB_KEYSPACE_NOT_FOUND`
   */
  put(keyspace: string, key: Bytes, value: Bytes): this
  /**
   * Adds the removal of a key. Returns the batch, for chains.
   *
   * @throws `OPENDB_KEYSPACE_NOT_FOUND`
   */
  delete(keyspace: string, key: Bytes): this
  /**
   * Applies all writes in one step, and ends the batch.
   *
   * @throws what `put` of a database throws
   */
  commit(options?: WriteOptions): void
  /** As `commit`, on the thread pool. The batch has ended when this returns its promise. */
  commitAsync(options?: WriteOptions): Promise<void>
  /** Drops the batch, if it was not committed. */
  [Symbol.dispose](): void
}

/**
 * A value that is read piece by piece, from `valueReader`. It stays the same value when its key is overwritten. Close it,
 * or take it with `using`: until then it keeps a file open.
 */
export class ValueReader {
  private constructor()
  /** Length of the value, in bytes. */
  readonly length: number
  /**
   * The bytes from a place on: so many, or all up to the end (default), fewer at the end and none behind it. A value over
   * 1 MiB that is damaged is noticed by who reads from its beginning on without a gap: the read of its last byte throws.
   *
   * @throws `OPENDB_CORRUPTION`, `OPENDB_IO`
   */
  read(offset: number, length?: number): Buffer
  /** Gives the reader up. Its calls are `OPENDB_INVALID_ARGUMENT` from then on; closing again is no error. */
  close(): void
  /** Gives the reader up. */
  [Symbol.dispose](): void
}

/**
 * A value that is written piece by piece, from `valueWriter`. Nobody sees anything of it before it is finished, and nobody
 * waits for it. Once it is finished, its calls are `OPENDB_INVALID_ARGUMENT`.
 */
export class ValueWriter {
  private constructor()
  /** Length that the value will have, in bytes. */
  readonly length: number
  /** How many bytes were written. */
  readonly written: number
  /**
   * Writes the next piece: all of it or, where it throws, nothing. Returns the writer, for chains. Each piece goes to the
   * log as it is, so many little ones are best gathered.
   *
   * @throws what `put` throws
   */
  write(chunk: Bytes): this
  /**
   * Stores the value, all of which was written, under its key, and ends the writer.
   *
   * @throws what `put` throws
   */
  finish(options?: WriteOptions): void
  /** As `finish`, on the thread pool. The writer has ended when this returns its promise. */
  finishAsync(options?: WriteOptions): Promise<void>
  /** Gives the value up, if it was not finished. */
  [Symbol.dispose](): void
}

/** Opens a database: the same as `new OpenDB`. */
export const open: typeof OpenDB.open

/** Opens a database on the thread pool: the same as {@link OpenDB.openAsync}. */
export const openAsync: typeof OpenDB.openAsync
