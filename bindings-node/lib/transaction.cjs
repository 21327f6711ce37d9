'use strict'

const { OpenDBError, invalidArgument, native } = require('./error.cjs')
const { batches, transactions } = require('./handles.cjs')
const { packKeys, takeValues } = require('./many.cjs')
const { refusePromise, toBytes, toDurability, toName, toOperations, toScanSettings } = require('./options.cjs')
const { room, toBuffer, toText } = require('./room.cjs')
const { DISPOSE, INTERNAL, iterEntries, iterKeys, requireInternal } = require('./scan.cjs')

// What the work of a transaction tells the native layer.
const OUTCOME_COMMIT = 0
const OUTCOME_CONFLICT = 1
const OUTCOME_ROLLBACK = 2
const OUTCOME_GOES_ON = 3

/** How often work that is asynchronous is run again unless it is told otherwise: as the core does with other work. */
const RETRIES = 99
/** So many times it is run again without a rest, and then it rests for some milliseconds. */
const RETRIES_AT_ONCE = 3
const REST_MILLISECONDS_MAX = 8

/** Ends a transaction that was lent by `transactionRun`, which keeps the handle for another run of the work. */
let endLent
/** What the work itself may not do with a transaction that was lent to it. */
let commitLent
let rollBackLent

/** Reads one snapshot and its own writes; commits all of them or none. */
class Transaction {
  static {
    endLent = (transaction) => (transaction.#handle = transactions.ended)
    commitLent = async (transaction, durability) => {
      const committed = native.transactionCommitAsync(transaction.#handle, durability)
      transaction.#end()
      await committed
    }
    rollBackLent = (transaction) => {
      native.transactionRelease(transaction.#handle)
      transaction.#end()
    }
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

  range(keyspace, options) {
    return [...this.iter(keyspace, options)]
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

/** Adds writes that are plain objects. */
function fillBatch(batch, operations) {
  toOperations(operations).forEach((operation, at) => {
    const { type, keyspace = 'default', key, value } = operation ?? {}
    if (type === 'put') batch.put(keyspace, key, value)
    else if (type === 'delete') batch.delete(keyspace, key)
    else throw invalidArgument(`the type of operation ${at} must be 'put' or 'delete'`)
  })
}

function begin(database, lent = false) {
  const handle = transactions.fill((transaction) => native.transactionBegin(database.handle, transaction))
  return new Transaction(INTERNAL, handle, database, lent)
}

const isConflict = (error) => error instanceof OpenDBError && error.code === 'OPENDB_TRANSACTION'

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

/**
 * Runs work in transactions until one commits; the core knows when to try again and for how long. Where the work gives a promise, so
 * does this, and goes on in `runAsync`.
 */
function runUntilCommitted(database, work, settings) {
  let result
  let failure
  let going
  const attempt = (handle) => {
    failure = undefined
    const transaction = new Transaction(INTERNAL, handle, database, true)
    let outcome = OUTCOME_COMMIT
    try {
      result = work(transaction)
      if (typeof result?.then === 'function') {
        going = transaction
        outcome = OUTCOME_GOES_ON
      }
    } catch (error) {
      failure = { error }
      outcome = isConflict(error) ? OUTCOME_CONFLICT : OUTCOME_ROLLBACK
    }
    if (outcome !== OUTCOME_GOES_ON) endLent(transaction)
    return outcome
  }
  const run = transactions.fill((handle) => {
    try {
      native.transactionRun(database.handle, handle, () => attempt(handle), settings)
    } catch (error) {
      if (going === undefined) throw failure === undefined ? error : failure.error
    }
  })
  if (going !== undefined) return runAsync(database, work, settings, going, result)
  transactions.release(run)
  return result
}

/** The same for work that gives promises, of which the first is there. */
async function runAsync(database, work, { durability, retries = RETRIES }, transaction, running) {
  for (let retry = 0; ; retry += 1) {
    try {
      const result = await (running ?? work(transaction))
      await commitLent(transaction, durability)
      return result
    } catch (error) {
      rollBackLent(transaction)
      if (!isConflict(error) || retry >= retries) throw error
    }
    await rest(retry)
    running = undefined
    transaction = begin(database, true)
  }
}

/** Lets others go on before the next attempt: longer each time, and not for as long as whoever it conflicts with. */
function rest(retry) {
  if (retry < RETRIES_AT_ONCE) return new Promise(setImmediate)
  const longest = Math.min(2 ** (retry - RETRIES_AT_ONCE), REST_MILLISECONDS_MAX)
  return new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)))
}

module.exports = { Batch, Transaction, begin, fillBatch, runOnce, runUntilCommitted }
