// A process beside others on one database: `node member.mjs write PATH SEED` or `node member.mjs read PATH`.
import { open } from 'opendb'

export const ACCOUNTS = 20

/** Random numbers below 1 that begin with a seed: Marsaglia's xorshift of 32 bits ("Xorshift RNGs", 2003). */
export function randomNumbers(seed) {
  let state = seed | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/** What there is of each account together, and how many commits there were. */
export function look(reader) {
  let total = 0
  for (const [, value] of reader.iter({ prefix: 'account ' })) total += Number(value)
  return { total, count: Number(reader.getString('count') ?? 0) }
}

/** Moves an amount from one account to another; the number of the commit. */
function move(db, random) {
  const below = (end) => Math.floor(random() * end)
  return db.transact((transaction) => {
    const add = (key, change) => {
      const sum = Number(transaction.getString('default', key) ?? 0) + change
      transaction.put('default', key, String(sum))
      return sum
    }
    const [source, amount] = [below(ACCOUNTS), below(100)]
    add(`account ${source}`, -amount)
    add(`account ${(source + 1 + below(ACCOUNTS - 1)) % ACCOUNTS}`, amount)
    return add('count', 1)
  })
}

function write(path, seed) {
  const db = open(path, { segmentBytes: 65536, lockTimeout: 60_000 })
  const random = randomNumbers(seed)
  const step = () => {
    const count = move(db, random)
    if (random() < 0.01) db.compact()
    // The next one when this is told: what is acknowledged has been committed, and not much more.
    process.send(count, step)
  }
  step()
}

function read(path) {
  const db = open(path, { readOnly: true })
  process.on('message', () => {
    db.refreshSync()
    const snapshot = db.snapshot()
    process.send(look(snapshot))
    snapshot.close()
  })
  process.on('disconnect', () => db.close())
  // What came before somebody listened would be lost.
  process.send('listens')
}

const [, , role, path, seed] = process.argv
if (role === 'write') write(path, Number(seed))
else if (role === 'read') read(path)
