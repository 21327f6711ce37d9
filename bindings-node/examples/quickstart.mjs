import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'opendb'

const db = open(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'opendb-')))
db.put('user:1', 'Alice')
db.put('user:2', 'Bob')
console.log(`user:1 is ${db.getString('user:1')}`)

for (const [key, value] of db.scanPrefix('user:')) console.log(`${key} = ${value}`)

const visits = db.transact((transaction) => {
  const count = (transaction.get('default', 'visits')?.readBigUInt64LE() ?? 0n) + 1n
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(count)
  transaction.put('default', 'visits', bytes)
  return count
})
console.log(`visits: ${visits}`)
db.close()
