'use strict'

const binding = require('../native.cjs')

/** The number of each code, as the native layer lists them. */
const kinds = new Map(binding.errorKinds().map(({ code, kind }) => [code, kind]))

/** What every call throws or rejects with. */
class OpenDBError extends Error {
  constructor(message, { code, kind = kinds.get(code), retryable = false, segment, offset, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.kind = kind
    this.retryable = retryable
    if (segment !== undefined) this.segment = segment
    if (offset !== undefined) this.offset = offset
  }
}
Object.defineProperty(OpenDBError.prototype, 'name', {
  value: 'OpenDBError',
  configurable: true,
  writable: true,
})

/** An error about an argument: what is wrong with it and what to pass. */
function invalidArgument(message) {
  return new OpenDBError(`invalid argument: ${message}`, { code: 'OPENDB_INVALID_ARGUMENT' })
}

/**
 * Makes an `OpenDBError` of what the native layer throws. Without a code of ours it was a panic, or an argument that
 * got past the checks.
 */
function translate(error) {
  if (kinds.has(error.code)) return new OpenDBError(error.message, error)
  const message = `internal error, please report it: ${error.message}`
  return new OpenDBError(message, { code: 'OPENDB_INTERNAL', cause: error })
}

/** Wraps a native function so that what it throws is an `OpenDBError`. None takes more than five arguments. */
function guarded(call) {
  return (a, b, c, d, e) => {
    try {
      return call(a, b, c, d, e)
    } catch (error) {
      throw translate(error)
    }
  }
}

/** The same for a native function that returns a promise. */
function guardedAsync(call) {
  return async (a, b, c, d, e) => {
    try {
      return await call(a, b, c, d, e)
    } catch (error) {
      throw translate(error)
    }
  }
}

/** Every native function, guarded. */
const native = Object.fromEntries(
  Object.entries(binding)
    .filter(([, call]) => typeof call === 'function')
    .map(([name, call]) => [name, name.endsWith('Async') ? guardedAsync(call) : guarded(call)]),
)

module.exports = { OpenDBError, invalidArgument, native }
