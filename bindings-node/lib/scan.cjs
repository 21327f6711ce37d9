'use strict'

const { invalidArgument, native } = require('./error.cjs')
const { cursors } = require('./handles.cjs')
const { lengthAt, room } = require('./room.cjs')

/** Marks calls of constructors that only the package itself may call. */
const INTERNAL = Symbol('internal')

/** The method that `using` calls; on a runtime without `Symbol.dispose` the symbol that Node.js keeps for it. */
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')

/** The method that `await using` calls. */
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/** Refuses `new` from outside the package. */
function requireInternal(token, instead) {
  if (token !== INTERNAL) throw invalidArgument(`this class is not made with new: ${instead}`)
}

// The first page is small, so that the first entry of a scan comes fast, and comes through the room, in which it has place
// with the entry that makes it full. Each next one is larger, so that a long scan crosses into the native layer rarely.
const PAGE_BYTES_FIRST = 3 << 10
const PAGE_BYTES_SECOND = 16 << 10
const PAGE_BYTES_MAX = 64 << 10
const PAGE_GROWTH = 4
const NO_PAGE = Buffer.alloc(0)

/** Iterates over the entries of one consistent moment, in key order. */
class ScanIterator {
  #cursor
  #database
  #withValues
  #page = NO_PAGE
  // Where the page stands: a view that is made of its memory costs half of one that is made of the page.
  #memory = NO_PAGE.buffer
  #base = 0
  #offset = 0
  #pageBytes = PAGE_BYTES_FIRST
  #last = false
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

  /** For `for await`: the thread pool reads the pages, so that nothing else waits for a long scan. */
  async *[Symbol.asyncIterator]() {
    try {
      for (;;) {
        if (this.#offset === this.#page.length) await this.#turnPageElsewhere()
        if (this.#done) return
        if (this.#database.closed) this.#refuse()
        yield this.#withValues ? this.#takeEntry() : this.#takeKey()
      }
    } finally {
      this.#finish()
    }
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
    if (!this.#done) this.#turnTo(this.#last ? null : this.#readPage())
  }

  async #turnPageElsewhere() {
    if (this.#done || this.#last) return this.#turnPage()
    const page = await native.cursorPageAsync(this.#cursor, this.#pageBytes)
    this.#pageBytes = Math.min(Math.max(this.#pageBytes * PAGE_GROWTH, PAGE_BYTES_SECOND), PAGE_BYTES_MAX)
    // Somebody else may have ended the scan meanwhile, and then what was read is not given out any more.
    if (!this.#done) this.#turnTo(page.length === 0 ? null : page)
  }

  #turnTo(page) {
    if (page === null) return this.#finish()
    this.#page = page
    this.#memory = page.buffer
    this.#base = page.byteOffset
    this.#offset = 0
  }

  /** The next page. After an error there is none, and a loop that was thrown out of does not call `return`. */
  #readPage() {
    try {
      if (this.#pageBytes === PAGE_BYTES_FIRST) return this.#readFirstPage()
      const page = native.cursorPage(this.#cursor, this.#pageBytes)
      this.#pageBytes = Math.min(this.#pageBytes * PAGE_GROWTH, PAGE_BYTES_MAX)
      return page
    } catch (error) {
      this.#finish()
      throw error
    }
  }

  #readFirstPage() {
    this.#pageBytes = PAGE_BYTES_SECOND
    const found = native.cursorPageRoom(this.#cursor, PAGE_BYTES_FIRST, room)
    if (typeof found !== 'number') return found
    if (found < 0) this.#giveUp()
    const page = Buffer.allocUnsafe(Math.abs(found))
    room.copy(page, 0, 0, page.length)
    return page
  }

  /** The last page is here, and with it the native layer has given up the scan. */
  #giveUp() {
    this.#last = true
    this.#cursor = cursors.release(this.#cursor)
  }

  #finish() {
    if (this.#done) return
    this.#done = true
    this.#page = NO_PAGE
    this.#memory = NO_PAGE.buffer
    this.#offset = 0
    if (this.#last) return
    native.cursorClose(this.#cursor)
    this.#cursor = cursors.release(this.#cursor)
  }

  #takeKey() {
    const start = this.#offset + 4
    const length = lengthAt(this.#page, this.#offset)
    this.#offset = start + length
    return Buffer.from(this.#memory, this.#base + start, length)
  }

  #takeEntry() {
    const start = this.#offset + 8
    const keyBytes = lengthAt(this.#page, this.#offset)
    const valueBytes = lengthAt(this.#page, this.#offset + 4)
    const middle = start + keyBytes
    this.#offset = middle + valueBytes
    const [memory, base] = [this.#memory, this.#base]
    return [Buffer.from(memory, base + start, keyBytes), Buffer.from(memory, base + middle, valueBytes)]
  }
}
// The helpers of newer runtimes, such as `map` and `take`, come from the common prototype of all iterators.
const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))
Object.setPrototypeOf(ScanIterator.prototype, IteratorPrototype)

// `begin` begins the scan in the handle that it is given.
const iterEntries = (begin, database) => new ScanIterator(INTERNAL, cursors.fill(begin), database, true)
const iterKeys = (begin, database) => new ScanIterator(INTERNAL, cursors.fill(begin), database, false)

module.exports = { ASYNC_DISPOSE, DISPOSE, INTERNAL, ScanIterator, iterEntries, iterKeys, requireInternal }
