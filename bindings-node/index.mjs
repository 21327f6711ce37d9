import opendb from './index.cjs'

export const {
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
} = opendb
export default opendb
