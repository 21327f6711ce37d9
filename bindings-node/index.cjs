'use strict'

const { OpenDBError } = require('./lib/error.cjs')
const { Keyspace, OpenDB, Snapshot } = require('./lib/database.cjs')
const { ScanIterator } = require('./lib/scan.cjs')
const { ValueReader, ValueWriter } = require('./lib/stream.cjs')
const { Batch, Transaction } = require('./lib/transaction.cjs')

const { open, openAsync } = OpenDB

module.exports = {
  Batch,
  Keyspace,
  OpenDB,
  OpenDBError,
  ScanIterator,
  Snapshot,
  Transaction,
  ValueReader,
  ValueWriter,
  open,
  openAsync,
}
