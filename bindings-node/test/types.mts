// Compiled by `npm run types` and never run: the declarations, used as a program uses them.

import opendb, { open, openAsync, OpenDB, OpenDBError } from 'opendb'
import type { Backup, Bytes, Compaction, Entry, ErrorCode, OpenOptions, ScanOptions, Stats, Transaction } from 'opendb'
import type { TransactOptions, Verification, Violation } from 'opendb'

const options: OpenOptions = { create: true, durability: 'sync', append: 'write', cacheBytes: 1 << 20 }
const db: OpenDB = open('./db', options)
const same: OpenDB[] = [new OpenDB('./db'), OpenDB.open(new URL('file:///db')), await OpenDB.openAsync('./db', options)]
same.push(await openAsync('./db'), opendb.open('./db'))

const key: Bytes = new Uint8Array([1, 2, 3])
db.put(key, Buffer.from('value'), { durability: 'buffered' })
const value: Buffer | undefined = db.get('key')
const text: string | undefined = db.getString(key)
const there: boolean = db.exists('key')
const size: number = db.size
db.delete('key', {})

const entries: Entry[] = db.scanPrefix('user:')
for (const [name, bytes] of entries) console.log(name.toString(), bytes.byteLength)
const scan: ScanOptions = { prefix: 'user:', start: key, end: 'z', startAfter: 'user:5', reverse: true, limit: 10 }
for (const [name, bytes] of db.iter(scan)) console.log(name.readUInt8(0), bytes.length)
for (const name of db.keys()) console.log(name.toString('hex'))

const users = db.keyspace('users')
const names: [string, string[]] = [users.name, db.keyspaces()]
await users.putAsync('key', 'value', { durability: 'sync' })
await users.deleteAsync('key')

const pages = db.keyspace('pages', { compression: 'lz4' })
const compression: 'none' | 'lz4' = pages.compression
db.valueWriter('film', 5).write('fi').write(new Uint8Array(3)).finish({ durability: 'sync' })
await pages.valueWriter(key, 0).finishAsync()
{
  using reader = db.valueReader('film')
  const piece: Buffer | undefined = reader?.read(0, reader.length)
  console.log(piece, reader?.read(2), compression)
}

db.batch().put('users', 'a', '1').delete('users', 'b').commit()
await db.batch().put('default', 'a', '1').commitAsync({ durability: 'sync' })

const increment = (transaction: Transaction): number => {
  const count = Number(transaction.getString('default', 'count') ?? 0) + 1
  transaction.put('default', 'count', String(count))
  return count
}
const count: number = db.transact(increment)
const once: number = db.transaction(increment, { durability: 'sync' })
const retries: TransactOptions = { retries: 3, durability: 'sync' }
const patient: number = db.transact(increment, retries)
const swapped: boolean = users.compareAndSwap('key', undefined, 'value', { durability: 'sync' })
const taken: Buffer | undefined = users.take(key)
const [sum, exact]: [number, bigint] = [db.increment('n'), db.increment('n', 2n ** 60n)]
console.log(patient, swapped, taken, sum, exact)

{
  using transaction = db.beginTransaction()
  using iterator = transaction.iter('default', { limit: 1 })
  const first: IteratorResult<Entry, undefined> = iterator.next()
  if (first.done) transaction.rollback()
  else await transaction.commitAsync()
}
{
  using snapshot = db.snapshot()
  const other: Buffer | undefined = snapshot.keyspace('users').get('key')
  console.log(other, snapshot.scanPrefix(''), [...snapshot.keys({ reverse: true })])
}

const stats: Stats = db.stats()
const mode: 'auto' | 'mapped' | 'write' = stats.append
const compaction: Compaction = db.compact((done, total) => done < total)
const quietly: number = db.compact().bytesFreed
const verification: Verification = db.verify()
const violations: Violation[] = verification.violations
const backup: Backup = db.backup(new URL('file:///tmp/backup'))
const lost: string[] = OpenDB.salvage('a', 'b').lost
console.log(lost)
// @ts-expect-error: progress is a function
db.compact(5)
console.log(compaction, quietly, violations, backup.sequence)
console.log(stats.recovery.damaged.join('\n'), mode, value, text, there, size, names, count, once)

try {
  await db.flush()
  db.flushSync()
} catch (error) {
  if (error instanceof OpenDBError) {
    const code: ErrorCode = error.code
    const place: [number | undefined, number | undefined] = [error.segment, error.offset]
    console.error(code, error.kind, error.retryable, place)
  }
}
db.close()

// What must not compile.
// @ts-expect-error a number is no key
db.get(5)
// @ts-expect-error there is no such option
open('./db', { cacheMegabytes: 5 })
// @ts-expect-error there is no such durability
db.put('key', 'value', { durability: 'none' })
// @ts-expect-error there is no such compression
db.keyspace('pages', { compression: 'zip' })
// @ts-expect-error a value may be absent
db.get('key').toString()
// @ts-expect-error an entry is a pair
for (const [name, bytes, more] of db.iter()) console.log(name, bytes, more)
// @ts-expect-error transactions come from a database
new opendb.Transaction()
// @ts-expect-error the keyspace comes first
db.beginTransaction().get('key')
// @ts-expect-error the name is read only
users.name = 'other'
