'use strict'

const { invalidArgument } = require('./error.cjs')
const { toBytes } = require('./options.cjs')
const { lengthAt } = require('./room.cjs')

// The form in which many keys and their values cross into the native layer and back stands in src/many.rs.
const LENGTH_BYTES = 4
const ABSENT = 0xffffffff
const LARGE = 0xfffffffe

/** The keys of an array, in the form that the native layer takes. */
function packKeys(keys) {
  if (!Array.isArray(keys)) throw invalidArgument('keys must be an array of keys')
  const bytes = keys.map((key) => toBytes(key, 'key'))
  const packed = Buffer.allocUnsafe(bytes.reduce((sum, key) => sum + LENGTH_BYTES + key.length, 0))
  let offset = 0
  for (const key of bytes) {
    packed.writeUInt32LE(key.length, offset)
    packed.set(key, offset + LENGTH_BYTES)
    offset += LENGTH_BYTES + key.length
  }
  return packed
}

/** The values that the native layer gave for so many keys. Small ones share the memory that they came in. */
function takeValues([packed, ...large], count) {
  const values = new Array(count)
  let offset = count * LENGTH_BYTES
  let largeTaken = 0
  for (let at = 0; at < count; at++) {
    const length = lengthAt(packed, at * LENGTH_BYTES)
    if (length === ABSENT) values[at] = undefined
    else if (length === LARGE) values[at] = large[largeTaken++]
    else {
      values[at] = Buffer.from(packed.buffer, packed.byteOffset + offset, length)
      offset += length
    }
  }
  return values
}

module.exports = { packKeys, takeValues }
