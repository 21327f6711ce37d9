'use strict'

// How many keys are removed with each commit.
const REMOVED_AT_ONCE = 1000

/** Removes keys of a keyspace, in steps, and tells how many they were. */
function removeKeys(database, keyspace, keys) {
  let removed = 0
  let batch = database.batch()
  for (const key of keys) {
    batch.delete(keyspace, key)
    removed += 1
    if (batch.size < REMOVED_AT_ONCE) continue
    batch.commit()
    batch = database.batch()
  }
  batch.commit()
  return removed
}

module.exports = { removeKeys }
