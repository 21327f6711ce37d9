// Moves what a Level database or an LMDB environment holds into a database: `node migrate.mjs level OLD NEW`.
// The package that reads the old one is a dependency of the program that moves, such as `classic-level` or `lmdb`.

import { open } from 'opendb'

const ENTRIES_AT_ONCE = 1000

/** Keys and values of a Level database, as bytes. Sublevels are keys that begin with `!name!`, and stay so. */
async function* entriesOfLevel(path) {
  const { ClassicLevel } = await import('classic-level')
  const old = new ClassicLevel(path, { createIfMissing: false, keyEncoding: 'buffer', valueEncoding: 'buffer' })
  yield* old.iterator()
  await old.close()
}

/** Keys and values of an LMDB environment, as bytes. */
async function* entriesOfLmdb(path) {
  const lmdb = await import('lmdb')
  const old = lmdb.open({ path, encoding: 'binary', keyEncoding: 'binary', readOnly: true })
  for (const { key, value } of old.getRange()) yield [key, value]
  await old.close()
}

const KINDS = { level: entriesOfLevel, lmdb: entriesOfLmdb }

const [kind, from, to] = process.argv.slice(2)
if (!Object.hasOwn(KINDS, kind ?? '') || to === undefined) {
  console.error(`usage: node migrate.mjs ${Object.keys(KINDS).join('|')} OLD NEW`)
  process.exit(2)
}
const db = open(to)
/** @type {import('opendb').Operation[]} */
let operations = []
let copied = 0
for await (const [key, value] of KINDS[kind](from)) {
  operations.push({ type: 'put', key, value })
  copied += 1
  if (operations.length < ENTRIES_AT_ONCE) continue
  db.writeBatch(operations)
  operations = []
}
db.writeBatch(operations)
await db.closeAsync()
console.log(copied, 'entries')
