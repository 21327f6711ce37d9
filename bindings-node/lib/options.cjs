'use strict'

const { fileURLToPath } = require('node:url')
const { types } = require('node:util')
const { invalidArgument } = require('./error.cjs')

const DURABILITY = ['buffered', 'sync']

/** What `open` takes, and of which type: a type's name, or the list of allowed words. */
const OPEN = {
  create: 'boolean',
  durability: DURABILITY,
  append: ['auto', 'mapped', 'write'],
  mappedReads: 'boolean',
  cacheBytes: 'count',
  segmentBytes: 'count',
  readDamaged: 'boolean',
  readOnly: 'boolean',
  lockTimeout: 'count',
}

/** What a write or a commit takes. */
const WRITE = { durability: DURABILITY }

/** What `transact` takes. */
const TRANSACT = { ...WRITE, retries: 'count' }

/** What a keyspace takes. */
const KEYSPACE = { compression: ['none', 'lz4'] }

/** What a scan takes. */
const SCAN = { prefix: 'bytes', start: 'bytes', end: 'bytes', startAfter: 'bytes', reverse: 'boolean', limit: 'count' }

/** The type of a value in words, for messages. Never the value itself: it may be data. */
function describe(value) {
  if (value === null) return 'null'
  if (value === undefined) return 'undefined'
  if (typeof value !== 'object') return `a ${typeof value}`
  return Array.isArray(value) ? 'an array' : `an object of ${value.constructor?.name ?? 'no class'}`
}

/** A string that has UTF-8. Half of a surrogate pair has none: as U+FFFD it would make two strings the same bytes. */
function toText(value, name) {
  if (value.isWellFormed()) return value
  throw invalidArgument(`${name} must be well-formed text, and holds half of a surrogate pair; pass whole characters`)
}

/** The bytes of a key or a value: a string as UTF-8, a byte array as it is. */
function toBytes(value, name) {
  if (typeof value === 'string') return Buffer.from(toText(value, name))
  if (!types.isUint8Array(value)) {
    throw invalidArgument(`${name} must be a string, a Buffer or a Uint8Array, not ${describe(value)}`)
  }
  // Another thread may write to shared memory while the native layer reads it, so that gets a copy.
  return types.isSharedArrayBuffer(value.buffer) ? Buffer.from(value) : value
}

/** The bytes of a value, `undefined` for one that is not there. */
function toOptionalBytes(value, name) {
  return value === undefined ? undefined : toBytes(value, name)
}

function toName(value) {
  if (typeof value === 'string') return toText(value, 'the keyspace')
  throw invalidArgument(`the keyspace must be a string, not ${describe(value)}`)
}

function toPath(value) {
  const path = value instanceof URL ? pathOfUrl(value) : value
  if (typeof path !== 'string') {
    throw invalidArgument(`path must be a string or a file URL, not ${describe(value)}`)
  }
  if (path === '') throw invalidArgument('path must not be empty: name a directory')
  if (path.includes('\0')) throw invalidArgument('path must not hold a NUL character: name a directory')
  return toText(path, 'path')
}

/** The path of a file URL; `undefined` for another URL. */
function pathOfUrl(url) {
  if (url.protocol !== 'file:') return undefined
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw invalidArgument(`path must be a file URL of a directory on this machine: ${error.message}`)
  }
}

function toWork(value) {
  if (typeof value === 'function') return value
  throw invalidArgument(`the work of a transaction must be a function, not ${describe(value)}`)
}

function toProgress(value) {
  if (value === undefined || typeof value === 'function') return value
  throw invalidArgument(`progress must be a function, not ${describe(value)}`)
}

/** Refuses the promise of an asynchronous function where the transaction would end before its work does. */
function refusePromise(value) {
  if (typeof value?.then !== 'function') return value
  // The work goes on and may fail; its failure belongs to the error thrown here.
  Promise.resolve(value).catch(() => {})
  throw invalidArgument(
    'the work of transaction must not be asynchronous: use transact, which waits for it',
  )
}

/** Memory of the caller's that is written to. */
function toTarget(value) {
  if (types.isUint8Array(value)) return value
  throw invalidArgument(`target must be a Buffer or a Uint8Array, not ${describe(value)}`)
}

/** The writes of a batch: their kind, their keyspace, and what they write. */
function toOperations(value) {
  if (Array.isArray(value)) return value
  throw invalidArgument(`operations must be an array, not ${describe(value)}`)
}

function toCount(value, name) {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw invalidArgument(`${name} must be a whole number from 0 to 2^53 - 1`)
}

/** A whole number of 64 bits with a sign. */
function toBigInt(value, name) {
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value
  if (Number.isSafeInteger(value)) return BigInt(value)
  throw invalidArgument(`${name} must be a whole number up to 2^53 - 1, or a bigint of 64 bits with a sign`)
}

function toSetting(value, type, name) {
  if (type === 'bytes') return toBytes(value, name)
  if (Array.isArray(type)) {
    if (type.includes(value)) return value
    const words = type.map((word) => `'${word}'`).join(' or ')
    throw invalidArgument(`option ${name} must be ${words}`)
  }
  if (type === 'boolean') {
    if (typeof value === 'boolean') return value
    throw invalidArgument(`option ${name} must be true or false, not ${describe(value)}`)
  }
  return toCount(value, `option ${name}`)
}

/** The error about a name that is none of these, with the one that it differs from only in how words are joined. */
function unknownOption(name, names) {
  const joined = (text) => text.replace(/[-_]/g, '').toLowerCase()
  const meant = names.find((known) => joined(known) === joined(name))
  const hint = meant === undefined ? `use ${names.join(', ')}` : `did you mean ${meant}? There are ${names.join(', ')}`
  return invalidArgument(`there is no option ${JSON.stringify(name)}: ${hint}`)
}

/** Checks an options object against a table of the above and returns its settings without those that are undefined. */
function toSettings(options, table) {
  const settings = {}
  if (options === undefined) return settings
  if (options === null || typeof options !== 'object' || Array.isArray(options) || types.isUint8Array(options)) {
    throw invalidArgument(`options must be an object, not ${describe(options)}`)
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(table, name)) throw unknownOption(name, Object.keys(table))
    if (value !== undefined) settings[name] = toSetting(value, table[name], name)
  }
  return settings
}

const toOpenSettings = (options) => toSettings(options, OPEN)
const toKeyspaceSettings = (options) => toSettings(options, KEYSPACE)
const toTransactSettings = (options) => toSettings(options, TRANSACT)
const toScanSettings = (options) => toSettings(options, SCAN)

/** The durability that a write asks for, if it asks for one. */
function toDurability(options) {
  return options === undefined ? undefined : toSettings(options, WRITE).durability
}

module.exports = {
  refusePromise,
  toBigInt,
  toBytes,
  toCount,
  toDurability,
  toKeyspaceSettings,
  toName,
  toOpenSettings,
  toOperations,
  toOptionalBytes,
  toPath,
  toProgress,
  toScanSettings,
  toTarget,
  toTransactSettings,
  toWork,
}
