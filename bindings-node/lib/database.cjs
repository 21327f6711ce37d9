'use strict'

const { native } = require('./error.cjs')
const { batches, snapshots } = require('./handles.cjs')
const { packKeys, takeValues } = require('./many.cjs')
const {
  toBigInt,
  toBytes,
  toCount,
  toDurability,
  toKeyspaceSettings,
  toName,
  toOpenSettings,
  toOptionalBytes,
  toPath,
  toProgress,
  toScanSettings,
  toTarget,
  toTransactSettings,
  toWork,
} = require('./options.cjs')
const { copyInto, intoRoom, room, toBuffer, toText } = require('./room.cjs')
const { ASYNC_DISPOSE, DISPOSE, INTERNAL, iterEntries, iterKeys, requireInternal } = require('./scan.cjs')
const { beginWriter, openReader } = require('./stream.cjs')
const { Batch, begin, fillBatch, runOnce, runUntilCommitted } = require('./transaction.cjs')

/** How often a compaction in the thread pool tells how far it has come. */
const PROGRESS_MILLISECONDS = 50

/** The key-value calls, which a database has for the keyspace "default" and a keyspace for itself. */
class Store {
  #keyspace
  #database

  constructor(keyspace, database) {
    this.#keyspace = keyspace
    this.#database = database
  }

  get size() {
    return native.keyspaceSize(this.#keyspace)
  }

  get(key) {
    return toBuffer(this.#find(key))
  }

  getString(key) {
    return toText(this.#find(key))
  }

  getMany(keys) {
    return takeValues(native.keyspaceGetMany(this.#keyspace, packKeys(keys)), keys.length)
  }

  #find(key) {
    const bytes = intoRoom(key, 0)
    if (bytes >= 0) return native.keyspaceGetRoom(this.#keyspace, bytes)
    return native.keyspaceGet(this.#keyspace, toBytes(key, 'key'), room)
  }

  getInto(key, target) {
    toTarget(target)
    return copyInto(this.#find(key), target)
  }

  put(key, value, options) {
    if (options === undefined) {
      const keyBytes = intoRoom(key, 0)
      const valueBytes = keyBytes < 0 ? -1 : intoRoom(value, keyBytes)
      if (valueBytes >= 0) return native.keyspacePutRoom(this.#keyspace, keyBytes, valueBytes)
    }
    native.keyspacePut(this.#keyspace, toBytes(key, 'key'), toBytes(value, 'value'), toDurability(options))
  }

  async putAsync(key, value, options) {
    const durability = toDurability(options)
    await native.keyspacePutAsync(this.#keyspace, toBytes(key, 'key'), toBytes(value, 'value'), durability)
  }

  delete(key, options) {
    const bytes = options === undefined ? intoRoom(key, 0) : -1
    if (bytes >= 0) return native.keyspaceDeleteRoom(this.#keyspace, bytes)
    native.keyspaceDelete(this.#keyspace, toBytes(key, 'key'), toDurability(options))
  }

  async deleteAsync(key, options) {
    await native.keyspaceDeleteAsync(this.#keyspace, toBytes(key, 'key'), toDurability(options))
  }

  compareAndSwap(key, expected, replacement, options) {
    const values = [toOptionalBytes(expected, 'expected'), toOptionalBytes(replacement, 'replacement')]
    return native.keyspaceCompareAndSwap(this.#keyspace, toBytes(key, 'key'), ...values, toDurability(options))
  }

  take(key, options) {
    const durability = toDurability(options)
    return toBuffer(native.keyspaceTake(this.#keyspace, toBytes(key, 'key'), room, durability))
  }

  increment(key, by = 1, options) {
    const sum = native.keyspaceIncrement(this.#keyspace, toBytes(key, 'key'), toBigInt(by, 'by'), toDurability(options))
    return typeof by === 'bigint' ? sum : Number(sum)
  }

  valueReader(key) {
    const bytes = toBytes(key, 'key')
    return openReader((reader) => native.keyspaceReader(this.#keyspace, bytes, reader), this.#database)
  }

  valueWriter(key, length) {
    const [bytes, count] = [toBytes(key, 'key'), toCount(length, 'length')]
    return beginWriter((writer) => native.keyspaceWriter(this.#keyspace, bytes, count, writer), this.#database, count)
  }

  exists(key) {
    const bytes = intoRoom(key, 0)
    if (bytes >= 0) return native.keyspaceExistsRoom(this.#keyspace, bytes)
    return native.keyspaceExists(this.#keyspace, toBytes(key, 'key'))
  }

  scanPrefix(prefix) {
    return [...this.iter({ prefix: toBytes(prefix, 'prefix') })]
  }

  range(options) {
    return [...this.iter(options)]
  }

  iter(options) {
    const settings = toScanSettings(options)
    return iterEntries((cursor) => native.keyspaceIter(this.#keyspace, settings, cursor), this.#database)
  }

  keys(options) {
    const settings = toScanSettings(options)
    return iterKeys((cursor) => native.keyspaceKeys(this.#keyspace, settings, cursor), this.#database)
  }
}

/** The native keyspace of this name, which all objects over it share: it has no end of its own but the database's. */
function openKeyspace(database, name) {
  let keyspace = database.keyspaces.get(name)
  if (keyspace === undefined) {
    keyspace = native.databaseKeyspace(database.handle, name, room)
    database.keyspaces.set(name, keyspace)
  }
  return keyspace
}

/** A database that is open. */
class OpenDB extends Store {
  #database
  #path

  constructor(path, options) {
    // `openAsync` brings a handle that is open already.
    const opened = options === INTERNAL
    const handle = opened ? path : native.databaseOpen(toPath(path), toOpenSettings(options))
    // Shared with all that comes from this database: it keeps the handle alive and says whether it was closed.
    const database = { handle, keyspaces: new Map(), closed: false }
    super(openKeyspace(database, 'default'), database)
    this.#database = database
    this.#path = native.databasePath(handle)
  }

  static open(path, options) {
    return new OpenDB(path, options)
  }

  static async openAsync(path, options) {
    return new OpenDB(await native.databaseOpenAsync(toPath(path), toOpenSettings(options)), INTERNAL)
  }

  static salvage(damaged, into) {
    return native.databaseSalvage(toPath(damaged), toPath(into))
  }

  static async salvageAsync(damaged, into) {
    return native.databaseSalvageAsync(toPath(damaged), toPath(into))
  }

  get path() {
    return this.#path
  }

  keyspace(name, options) {
    const { compression } = toKeyspaceSettings(options)
    if (compression !== undefined) native.databaseKeyspaceSet(this.#database.handle, toName(name), compression)
    return new Keyspace(INTERNAL, openKeyspace(this.#database, toName(name)), this.#database, name)
  }

  keyspaces() {
    return native.databaseKeyspaces(this.#database.handle)
  }

  batch() {
    const handle = batches.fill((batch) => native.batchBegin(this.#database.handle, batch))
    return new Batch(INTERNAL, handle, this.#database)
  }

  writeBatch(operations, options) {
    this.#batchOf(operations).commit(options)
  }

  async writeBatchAsync(operations, options) {
    await this.#batchOf(operations).commitAsync(options)
  }

  #batchOf(operations) {
    const batch = this.batch()
    try {
      fillBatch(batch, operations)
    } catch (error) {
      batch[DISPOSE]()
      throw error
    }
    return batch
  }

  beginTransaction() {
    return begin(this.#database)
  }

  transaction(work, options) {
    return runOnce(this.#database, toWork(work), options)
  }

  transact(work, options) {
    return runUntilCommitted(this.#database, toWork(work), toTransactSettings(options))
  }

  snapshot() {
    const handle = snapshots.fill((snapshot) => native.databaseSnapshot(this.#database.handle, snapshot))
    return new Snapshot(INTERNAL, handle, this.#database)
  }

  async flush() {
    await native.databaseFlushAsync(this.#database.handle)
  }

  flushSync() {
    native.databaseFlush(this.#database.handle)
  }

  async refresh() {
    await native.databaseRefreshAsync(this.#database.handle)
  }

  refreshSync() {
    native.databaseRefresh(this.#database.handle)
  }

  stats() {
    return native.databaseStats(this.#database.handle)
  }

  compact(progress) {
    const { handle } = this.#database
    if (toProgress(progress) === undefined) return native.databaseCompact(handle)
    let thrown
    const report = (bytesDone, bytesTotal) => {
      // It is told again, when there may be an error already.
      if (thrown !== undefined) return false
      try {
        return progress(bytesDone, bytesTotal) !== false
      } catch (error) {
        thrown = { error }
        return false
      }
    }
    let compaction
    try {
      compaction = native.databaseCompact(handle, report)
    } catch (error) {
      thrown ??= { error }
    }
    if (thrown !== undefined) throw thrown.error
    return compaction
  }

  async compactAsync(progress) {
    toProgress(progress)
    const watch = native.compactionWatch()
    const compacting = native.databaseCompactAsync(this.#database.handle, watch)
    if (progress === undefined) return compacting
    let stopped
    const report = () => {
      if (stopped !== undefined) return
      try {
        if (progress(...native.compactionProgress(watch)) === false) stopped = {}
      } catch (error) {
        stopped = { error }
      }
      if (stopped !== undefined) native.compactionStop(watch)
    }
    const timer = setInterval(report, PROGRESS_MILLISECONDS)
    try {
      const compaction = await compacting
      report()
      if (stopped !== undefined && 'error' in stopped) throw stopped.error
      return compaction
    } finally {
      clearInterval(timer)
    }
  }

  verify() {
    return native.databaseVerify(this.#database.handle)
  }

  async verifyAsync() {
    return native.databaseVerifyAsync(this.#database.handle)
  }

  backup(directory) {
    return native.databaseBackup(this.#database.handle, toPath(directory))
  }

  async backupAsync(directory) {
    return native.databaseBackupAsync(this.#database.handle, toPath(directory))
  }

  close() {
    this.#closeKeyspaces()
    native.databaseClose(this.#database.handle)
  }

  async closeAsync() {
    this.#closeKeyspaces()
    await native.databaseCloseAsync(this.#database.handle)
  }

  #closeKeyspaces() {
    const { keyspaces } = this.#database
    this.#database.closed = true
    for (const keyspace of keyspaces.values()) native.keyspaceClose(keyspace)
    keyspaces.clear()
  }

  [DISPOSE]() {
    this.close()
  }

  [ASYNC_DISPOSE]() {
    return this.closeAsync()
  }
}

/** A key space of its own within a database. */
class Keyspace extends Store {
  #keyspace
  #name

  constructor(token, keyspace, database, name) {
    requireInternal(token, 'call keyspace')
    super(keyspace, database)
    this.#keyspace = keyspace
    this.#name = name
  }

  get compression() {
    return native.keyspaceCompression(this.#keyspace)
  }

  get name() {
    return this.#name
  }
}

/** A view of one moment of one keyspace. */
class Snapshot {
  #handle
  #database

  constructor(token, handle, database) {
    requireInternal(token, 'call snapshot')
    this.#handle = handle
    this.#database = database
  }

  keyspace(name) {
    toName(name)
    const handle = snapshots.fill((other) => native.snapshotKeyspace(this.#handle, name, other))
    return new Snapshot(INTERNAL, handle, this.#database)
  }

  get(key) {
    return toBuffer(native.snapshotGet(this.#handle, toBytes(key, 'key'), room))
  }

  getString(key) {
    return toText(native.snapshotGet(this.#handle, toBytes(key, 'key'), room))
  }

  getInto(key, target) {
    toTarget(target)
    return copyInto(native.snapshotGet(this.#handle, toBytes(key, 'key'), room), target)
  }

  getMany(keys) {
    return takeValues(native.snapshotGetMany(this.#handle, packKeys(keys)), keys.length)
  }

  valueReader(key) {
    const bytes = toBytes(key, 'key')
    return openReader((reader) => native.snapshotReader(this.#handle, bytes, reader), this.#database)
  }

  exists(key) {
    return native.snapshotExists(this.#handle, toBytes(key, 'key'))
  }

  scanPrefix(prefix) {
    return [...this.iter({ prefix: toBytes(prefix, 'prefix') })]
  }

  range(options) {
    return [...this.iter(options)]
  }

  iter(options) {
    const settings = toScanSettings(options)
    return iterEntries((cursor) => native.snapshotIter(this.#handle, settings, cursor), this.#database)
  }

  keys(options) {
    const settings = toScanSettings(options)
    return iterKeys((cursor) => native.snapshotKeys(this.#handle, settings, cursor), this.#database)
  }

  close() {
    native.snapshotClose(this.#handle)
    this.#handle = snapshots.release(this.#handle)
  }

  [DISPOSE]() {
    this.close()
  }
}

module.exports = { Keyspace, OpenDB, Snapshot }
