// A process beside others on one database: `node member.mjs ROLE PATH`, and a seed for the one that writes.
import assert from 'node:assert/strict'
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

/** Looks without a refresh until many commits have come: whole ones only, and none before an earlier one. */
function follow(path) {
  const db = open(path, { readOnly: true })
  let [changes, last] = [0, 0]
  while (changes < 50) {
    const snapshot = db.snapshot()
    const { total, count } = look(snapshot)
    snapshot.close()
    assert.equal(total, 0)
    assert.ok(count >= last, `${count} behind ${last}, which was seen before`)
    if (count > last) changes++
    last = count
  }
  db.close()
  try {
    open(path).close()
  } catch ({ code, message }) {
    process.send([code, message])
  }
}

/** Looks again and again, and ends by itself where something is wrong. It is told what was acknowledged. */
function watch(path) {
  const db = open(path, { readOnly: true })
  let [acknowledged, seen, looks, over] = [0, 0, 0, false]
  process.on('message', (message) => {
    if (message === 'end') over = true
    else acknowledged = message
  })
  process.on('disconnect', () => process.exit())
  const step = () => {
    // What had come by now was committed before this refresh, so what is seen may not be behind it.
    db.refreshSync()
    const snapshot = db.snapshot()
    const { total, count } = look(snapshot)
    snapshot.close()
    assert.equal(total, 0)
    assert.ok(count >= acknowledged, `${count} behind ${acknowledged}, which was acknowledged`)
    assert.ok(count >= seen, `${count} behind ${seen}, which was seen before`)
    seen = count
    looks++
    if (!over) return setImmediate(step)
    db.close()
    process.send({ looks, seen }, () => process.disconnect())
  }
  step()
}

const [, , role, path, seed] = process.argv
const roles = { write, read, follow, watch }
roles[role]?.(path, Number(seed))
