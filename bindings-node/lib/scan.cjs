'use strict'

const { invalidArgument, native } = require('./error.cjs')
const { cursors } = require('./handles.cjs')

/** Marks calls of constructors that only the package itself may call. */
const INTERNAL = Symbol('internal')

/** The method that `using` calls; on a runtime without `Symbol.dispose` the symbol that Node.js keeps for it. */
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')

/** Refuses `new` from outside the package. */
function requireInternal(token, instead) {
  if (token !== INTERNAL) throw invalidArgument(`this class is not made with new: ${instead}`)
}

// The first page is small, so that the first entry of a scan comes fast; each next one is larger, so that a long scan
// crosses into the native layer rarely.
const PAGE_BYTES_FIRST = 4 << 10
const PAGE_BYTES_MAX = 64 << 10
const PAGE_GROWTH = 4

/** Iterates over the entries of one consistent moment, in key order. */
class ScanIterator {
  #cursor
  #database
  #withValues
  #page = Buffer.alloc(0)
  #offset = 0
  #pageBytes = PAGE_BYTES_FIRST
  #done = false

  constructor(token, cursor, database, withValues) {
    requireInternal(token, 'call iter or keys')
    this.#cursor = cursor
    this.#database = database
    this.#withValues = withValues
  }

  next() {
    if (this.#database.closed && !this.#done) this.#refuse()
    if (this.#offset === this.#page.length) this.#turnPage()
    if (this.#done) return { done: true, value: undefined }
    return { done: false, value: this.#withValues ? this.#takeEntry() : this.#takeKey() }
  }

  return(value) {
    this.#finish()
    return { done: true, value }
  }

  [Symbol.iterator]() {
    return this
  }

  [DISPOSE]() {
    this.#finish()
  }

  /** What a page holds must not outlive the database: ends the iterator and throws what the closed database throws. */
  #refuse() {
    this.#finish()
    native.databaseKeyspaces(this.#database.handle)
  }

  #turnPage() {
    if (this.#done) return
    const page = this.#readPage()
    this.#pageBytes = Math.min(this.#pageBytes * PAGE_GROWTH, PAGE_BYTES_MAX)
    if (page === null) return this.#finish()
    this.#page = page
    this.#offset = 0
  }

  /** The next page. After an error there is none, and a loop that was thrown out of does not call `return`. */
  #readPage() {
    try {
      return native.cursorPage(this.#cursor, this.#pageBytes)
    } catch (error) {
      this.#finish()
      throw error
    }
  }

  #finish() {
    if (this.#done) return
    this.#done = true
    this.#page = Buffer.alloc(0)
    this.#offset = 0
    native.cursorClose(this.#cursor)
    this.#cursor = cursors.release(this.#cursor)
  }

  #takeKey() {
    const start = this.#offset + 4
    const end = start + this.#page.readUInt32LE(this.#offset)
    this.#offset = end
    return this.#page.subarray(start, end)
  }

  #takeEntry() {
    const start = this.#offset + 8
    const middle = start + this.#page.readUInt32LE(this.#offset)
    const end = middle + this.#page.readUInt32LE(this.#offset + 4)
    this.#offset = end
    return [this.#page.subarray(start, middle), this.#page.subarray(middle, end)]
  }
}
// The helpers of newer runtimes, such as `map` and `take`, come from the common prototype of all iterators.
const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))
Object.setPrototypeOf(ScanIterator.prototype, IteratorPrototype)

// `begin` begins the scan in the handle that it is given.
const iterEntries = (begin, database) => new ScanIterator(INTERNAL, cursors.fill(begin), database, true)
const iterKeys = (begin, database) => new ScanIterator(INTERNAL, cursors.fill(begin), database, false)

// A Buffer made by the native layer costs over a microsecond, one made here a tenth. So values come through this room;
// those that do not fit come as a Buffer of their own. Larger ones would gain nothing: `Buffer.allocUnsafe` has no
// pool for them.
const room = Buffer.allocUnsafeSlow(4096)

/** The value that a native `get` found: in `room` if it is a length. */
function toBuffer(found) {
  if (typeof found !== 'number') return found ?? undefined
  const value = Buffer.allocUnsafe(found)
  room.copy(value, 0, 0, found)
  return value
}

/** The same as text. */
function toText(found) {
  return typeof found === 'number' ? room.toString('utf8', 0, found) : found?.toString('utf8')
}

module.exports = { DISPOSE, INTERNAL, ScanIterator, iterEntries, iterKeys, requireInternal, room, toBuffer, toText }
