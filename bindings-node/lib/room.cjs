'use strict'

const { types } = require('node:util')

// What a Buffer costs that the native layer makes, or looks into, is several times what it costs here to make or copy a
// small one. So small keys and values come and go through this memory, of which the native layer knows the place; a call
// says only how many bytes stand in it. Nothing else runs between filling it and the call, so all calls share it.
//
// Larger ones would gain nothing: `Buffer.allocUnsafe` has no pool for them. They go as Buffers of their own.
const ROOM_BYTES = 4096
const room = Buffer.allocUnsafeSlow(ROOM_BYTES)
/** Bytes that a character of a string may need in UTF-8, counted as JavaScript counts characters. */
const BYTES_PER_CHARACTER_MAX = 3
/** Up to this length, the beginnings of the room are kept as views, of which making one costs more than copying it. */
const VIEW_BYTES_MAX = 1024
const views = []

/** Up to this length a string is looked at character by character, which is sooner done than a call that writes it. */
const SHORT_CHARACTERS_MAX = 64
const ASCII_MAX = 0x7f

/** The length of a byte array as it is, also where a class of the user has another idea of it. */
const byteLength = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'byteLength').get

/**
 * Puts a key or value into the room and gives its length. Less than zero where that cannot be done, because it is too long
 * or neither text nor bytes: what takes it then tells what is wrong with it.
 */
function intoRoom(value, start) {
  if (typeof value === 'string') {
    if (value.length <= SHORT_CHARACTERS_MAX && value.length <= ROOM_BYTES - start && putAscii(value, start)) {
      return value.length
    }
    if (value.length * BYTES_PER_CHARACTER_MAX > ROOM_BYTES - start || !value.isWellFormed()) return -1
    return room.utf8Write(value, start)
  }
  if (!types.isUint8Array(value)) return -1
  const bytes = Reflect.apply(byteLength, value, [])
  if (bytes > ROOM_BYTES - start) return -1
  room.set(value, start)
  return bytes
}

/** Puts a string into the room; false, with some of it there, where it has more than ASCII. */
function putAscii(value, start) {
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at)
    if (code > ASCII_MAX) return false
    room[start + at] = code
  }
  return true
}

/** The length that stands at a place of what the native layer gave: four bytes, little endian. */
const lengthAt = (page, at) => (page[at] | (page[at + 1] << 8) | (page[at + 2] << 16) | (page[at + 3] << 24)) >>> 0

function viewOfRoom(bytes) {
  if (bytes > VIEW_BYTES_MAX) return room.subarray(0, bytes)
  return (views[bytes] ??= room.subarray(0, bytes))
}

/** The value that a native `get` found: in the room if it is a length. */
function toBuffer(found) {
  if (typeof found !== 'number') return found ?? undefined
  const value = Buffer.allocUnsafe(found)
  value.set(viewOfRoom(found))
  return value
}

/** The same as text. */
function toText(found) {
  return typeof found === 'number' ? room.toString('utf8', 0, found) : found?.toString('utf8')
}

/** Copies it into the memory of the caller, if it fits, and gives its length. */
function copyInto(found, target) {
  if (found === null || found === undefined) return undefined
  const [value, bytes] = typeof found === 'number' ? [room, found] : [found, found.length]
  if (bytes <= Reflect.apply(byteLength, target, [])) value.copy(target, 0, 0, bytes)
  return bytes
}

module.exports = { copyInto, intoRoom, lengthAt, room, toBuffer, toText }
