'use strict'

const { native } = require('./error.cjs')
const { toBytes, toDurability, toName, toOpenSettings, toPath, toScanSettings, toWork } = require('./options.cjs')
const { DISPOSE, INTERNAL, iterEntries, iterKeys, requireInternal, room, toBuffer, toText } = require('./scan.cjs')
const { Batch, begin, runOnce, runUntilCommitted } = require('./transaction.cjs')

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
    return toBuffer(native.keyspaceGet(this.#keyspace, toBytes(key, 'key'), room))
  }

  getString(key) {
    return toText(native.keyspaceGet(this.#keyspace, toBytes(key, 'key'), room))
  }

  put(key, value, options) {
    native.keyspacePut(this.#keyspace, toBytes(key, 'key'), toBytes(value, 'value'), toDurability(options))
  }

  async putAsync(key, value, options) {
    const durability = toDurability(options)
    await native.keyspacePutAsync(this.#keyspace, toBytes(key, 'key'), toBytes(value, 'value'), durability)
  }

  delete(key, options) {
    native.keyspaceDelete(this.#keyspace, toBytes(key, 'key'), toDurability(options))
  }

  async deleteAsync(key, options) {
    await native.keyspaceDeleteAsync(this.#keyspace, toBytes(key, 'key'), toDurability(options))
  }

  exists(key) {
    return native.keyspaceExists(this.#keyspace, toBytes(key, 'key'))
  }

  scanPrefix(prefix) {
    return [...this.iter({ prefix: toBytes(prefix, 'prefix') })]
  }

  iter(options) {
    return iterEntries(native.keyspaceIter(this.#keyspace, toScanSettings(options)), this.#database)
  }

  keys(options) {
    return iterKeys(native.keyspaceKeys(this.#keyspace, toScanSettings(options)), this.#database)
  }
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
    const database = { handle, closed: false }
    super(native.databaseKeyspace(handle, 'default'), database)
    this.#database = database
    this.#path = native.databasePath(handle)
  }

  static open(path, options) {
    return new OpenDB(path, options)
  }

  static async openAsync(path, options) {
    return new OpenDB(await native.databaseOpenAsync(toPath(path), toOpenSettings(options)), INTERNAL)
  }

  get path() {
    return this.#path
  }

  keyspace(name) {
    return new Keyspace(INTERNAL, native.databaseKeyspace(this.#database.handle, toName(name)), this.#database, name)
  }

  keyspaces() {
    return native.databaseKeyspaces(this.#database.handle)
  }

  batch() {
    return new Batch(INTERNAL, native.batchBegin(this.#database.handle), this.#database)
  }

  beginTransaction() {
    return begin(this.#database)
  }

  transaction(work, options) {
    return runOnce(this.#database, toWork(work), options)
  }

  transact(work) {
    return runUntilCommitted(this.#database, toWork(work))
  }

  snapshot() {
    return new Snapshot(INTERNAL, native.databaseSnapshot(this.#database.handle), this.#database)
  }

  async flush() {
    await native.databaseFlushAsync(this.#database.handle)
  }

  flushSync() {
    native.databaseFlush(this.#database.handle)
  }

  stats() {
    return native.databaseStats(this.#database.handle)
  }

  close() {
    this.#database.closed = true
    native.databaseClose(this.#database.handle)
  }

  [DISPOSE]() {
    this.close()
  }
}

/** A key space of its own within a database. */
class Keyspace extends Store {
  #name

  constructor(token, keyspace, database, name) {
    requireInternal(token, 'call keyspace')
    super(keyspace, database)
    this.#name = name
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
    return new Snapshot(INTERNAL, native.snapshotKeyspace(this.#handle, toName(name)), this.#database)
  }

  get(key) {
    return toBuffer(native.snapshotGet(this.#handle, toBytes(key, 'key'), room))
  }

  getString(key) {
    return toText(native.snapshotGet(this.#handle, toBytes(key, 'key'), room))
  }

  exists(key) {
    return native.snapshotExists(this.#handle, toBytes(key, 'key'))
  }

  scanPrefix(prefix) {
    return [...this.iter({ prefix: toBytes(prefix, 'prefix') })]
  }

  iter(options) {
    return iterEntries(native.snapshotIter(this.#handle, toScanSettings(options)), this.#database)
  }

  keys(options) {
    return iterKeys(native.snapshotKeys(this.#handle, toScanSettings(options)), this.#database)
  }

  close() {
    native.snapshotClose(this.#handle)
  }

  [DISPOSE]() {
    this.close()
  }
}

module.exports = { Keyspace, OpenDB, Snapshot }
