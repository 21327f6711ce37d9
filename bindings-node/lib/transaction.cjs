'use strict'

const { OpenDBError, invalidArgument, native } = require('./error.cjs')
const { refusePromise, toBytes, toDurability, toName, toScanSettings } = require('./options.cjs')
const { DISPOSE, INTERNAL, iterEntries, iterKeys, requireInternal, room, toBuffer, toText } = require('./scan.cjs')

// What the work of a transaction tells the native layer.
const OUTCOME_COMMIT = 0
const OUTCOME_CONFLICT = 1
const OUTCOME_ROLLBACK = 2

/** Reads one snapshot and its own writes; commits all of them or none. */
class Transaction {
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
    const cursor = native.transactionIter(this.#handle, toName(keyspace), toScanSettings(options))
    return iterEntries(cursor, this.#database)
  }

  keys(keyspace, options) {
    const cursor = native.transactionKeys(this.#handle, toName(keyspace), toScanSettings(options))
    return iterKeys(cursor, this.#database)
  }

  commit(options) {
    const durability = toDurability(options)
    this.#refuseIfLent()
    native.transactionCommit(this.#handle, durability)
  }

  async commitAsync(options) {
    const durability = toDurability(options)
    this.#refuseIfLent()
    await native.transactionCommitAsync(this.#handle, durability)
  }

  rollback() {
    this.#refuseIfLent()
    native.transactionRollback(this.#handle)
  }

  [DISPOSE]() {
    if (!this.#lent) native.transactionRelease(this.#handle)
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
    native.batchCommit(this.#handle, toDurability(options))
  }

  async commitAsync(options) {
    await native.batchCommitAsync(this.#handle, toDurability(options))
  }

  [DISPOSE]() {
    native.batchRelease(this.#handle)
  }
}

function begin(database) {
  return new Transaction(INTERNAL, native.transactionBegin(database.handle), database, false)
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
function runUntilCommitted(database, work) {
  let result
  let failure
  const attempt = (handle) => {
    failure = undefined
    try {
      result = refusePromise(work(new Transaction(INTERNAL, handle, database, true)))
      return OUTCOME_COMMIT
    } catch (error) {
      failure = { error }
      const conflict = error instanceof OpenDBError && error.code === 'OPENDB_TRANSACTION'
      return conflict ? OUTCOME_CONFLICT : OUTCOME_ROLLBACK
    }
  }
  try {
    native.transactionRun(database.handle, attempt)
  } catch (error) {
    throw failure === undefined ? error : failure.error
  }
  return result
}

module.exports = { Batch, Transaction, begin, runOnce, runUntilCommitted }
