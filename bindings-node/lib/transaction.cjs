'use strict'

const { OpenDBError, invalidArgument, native } = require('./error.cjs')
const { batches, transactions } = require('./handles.cjs')
const { packKeys, takeValues } = require('./many.cjs')
const { refusePromise, toBytes, toDurability, toName, toScanSettings } = require('./options.cjs')
const { room, toBuffer, toText } = require('./room.cjs')
const { DISPOSE, INTERNAL, iterEntries, iterKeys, requireInternal } = require('./scan.cjs')

// What the work of a transaction tells the native layer.
const OUTCOME_COMMIT = 0
const OUTCOME_CONFLICT = 1
const OUTCOME_ROLLBACK = 2

/** Ends a transaction that was lent by `transactionRun`, which keeps the handle for another run of the work. */
let endLent

/** Reads one snapshot and its own writes; commits all of them or none. */
class Transaction {
  static {
    endLent = (transaction) => (transaction.#handle = transactions.ended)
  }

  #handle
  #database
  #lent

  constructor(token, handle, database, lent) {
    requireInternal(token, 'call beginTransaction, transaction or transact')
    this.#handle = handle
    this.#database = database
    this.#lent = lent
  }

  get active() {
    return native.transactionActive(this.#handle)
  }

  get(keyspace, key) {
    return toBuffer(native.transactionGet(this.#handle, toName(keyspace), toBytes(key, 'key'), room))
  }

  getString(keyspace, key) {
    return toText(native.transactionGet(this.#handle, toName(keyspace), toBytes(key, 'key'), room))
  }

  getMany(keyspace, keys) {
    return takeValues(native.transactionGetMany(this.#handle, toName(keyspace), packKeys(keys)), keys.length)
  }

  put(keyspace, key, value) {
    native.transactionPut(this.#handle, toName(keyspace), toBytes(key, 'key'), toBytes(value, 'value'))
  }

  delete(keyspace, key) {
    native.transactionDelete(this.#handle, toName(keyspace), toBytes(key, 'key'))
  }

  exists(keyspace, key) {
    return native.transactionExists(this.#handle, toName(keyspace), toBytes(key, 'key'))
  }

  scanPrefix(keyspace, prefix) {
    return [...this.iter(keyspace, { prefix: toBytes(prefix, 'prefix') })]
  }

  iter(keyspace, options) {
    const [name, settings] = [toName(keyspace), toScanSettings(options)]
    return iterEntries((cursor) => native.transactionIter(this.#handle, name, settings, cursor), this.#database)
  }

  keys(keyspace, options) {
    const [name, settings] = [toName(keyspace), toScanSettings(options)]
    return iterKeys((cursor) => native.transactionKeys(this.#handle, name, settings, cursor), this.#database)
  }

  commit(options) {
    const durability = toDurability(options)
    this.#refuseIfLent()
    try {
      native.transactionCommit(this.#handle, durability)
    } finally {
      this.#end()
    }
  }

  async commitAsync(options) {
    const durability = toDurability(options)
    this.#refuseIfLent()
    const committed = native.transactionCommitAsync(this.#handle, durability)
    this.#end()
    await committed
  }

  rollback() {
    this.#refuseIfLent()
    try {
      native.transactionRollback(this.#handle)
    } finally {
      this.#end()
    }
  }

  [DISPOSE]() {
    if (this.#lent) return
    native.transactionRelease(this.#handle)
    this.#end()
  }

  /** Gives the handle back, which the native layer has emptied, whether or not the call succeeded. */
  #end() {
    this.#handle = transactions.release(this.#handle)
  }

  #refuseIfLent() {
    if (this.#lent) {
      throw invalidArgument('transact commits the transaction itself: return to commit, throw to roll back')
    }
  }
}

/** Many writes that are applied together or not at all. */
class Batch {
  #handle
  // Read by nobody: it keeps the database open for as long as the batch is there.
  #database

  constructor(token, handle, database) {
    requireInternal(token, 'call batch')
    this.#handle = handle
    this.#database = database
  }

  get size() {
    return native.batchSize(this.#handle)
  }

  put(keyspace, key, value) {
    native.batchPut(this.#handle, toName(keyspace), toBytes(key, 'key'), toBytes(value, 'value'))
    return this
  }

  delete(keyspace, key) {
    native.batchDelete(this.#handle, toName(keyspace), toBytes(key, 'key'))
    return this
  }

  commit(options) {
    const durability = toDurability(options)
    try {
      native.batchCommit(this.#handle, durability)
    } finally {
      this.#end()
    }
  }

  async commitAsync(options) {
    const durability = toDurability(options)
    const committed = native.batchCommitAsync(this.#handle, durability)
    this.#end()
    await committed
  }

  [DISPOSE]() {
    native.batchRelease(this.#handle)
    this.#end()
  }

  /** Gives the handle back, which the native layer has emptied, whether or not the call succeeded. */
  #end() {
    this.#handle = batches.release(this.#handle)
  }
}

function begin(database) {
  const handle = transactions.fill((transaction) => native.transactionBegin(database.handle, transaction))
  return new Transaction(INTERNAL, handle, database, false)
}

/** Runs work in one transaction: commits when it returns, unless it has ended it, and rolls back when it throws. */
function runOnce(database, work, options) {
  // A wrong option is told before the work is done, not after.
  const durability = toDurability(options)
  const transaction = begin(database)
  try {
    const result = refusePromise(work(transaction))
    if (transaction.active) transaction.commit({ durability })
    return result
  } finally {
    transaction[DISPOSE]()
  }
}

/** Runs work in transactions until one commits; the core knows when to try again and for how long. */
function runUntilCommitted(database, work, settings) {
  let result
  let failure
  const attempt = (handle) => {
    failure = undefined
    const transaction = new Transaction(INTERNAL, handle, database, true)
    try {
      result = refusePromise(work(transaction))
      return OUTCOME_COMMIT
    } catch (error) {
      failure = { error }
      const conflict = error instanceof OpenDBError && error.code === 'OPENDB_TRANSACTION'
      return conflict ? OUTCOME_CONFLICT : OUTCOME_ROLLBACK
    } finally {
      endLent(transaction)
    }
  }
  try {
    transactions.release(
      transactions.fill((handle) => native.transactionRun(database.handle, handle, () => attempt(handle), settings)),
    )
  } catch (error) {
    throw failure === undefined ? error : failure.error
  }
  return result
}

module.exports = { Batch, Transaction, begin, runOnce, runUntilCommitted }
