import opendb from './index.cjs'

export const { Batch, Keyspace, OpenDB, OpenDBError, ScanIterator, Snapshot, Transaction, open, openAsync } = opendb
export default opendb
