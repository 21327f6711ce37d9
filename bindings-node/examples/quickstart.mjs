import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'opendb'

const db = open(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'opendb-')))
db.put('user:1', 'Alice')
db.put('user:2', 'Bob')
console.log(db.getString('user:1'))

for (const [key, value] of db.scanPrefix('user:')) console.log(`${key} = ${value}`)

const visits = db.transact((transaction) => {
  const count = Number(transaction.getString('default', 'visits') ?? 0) + 1
  transaction.put('default', 'visits', String(count))
  return count
})
console.log(`visits: ${visits}`)
db.close()
