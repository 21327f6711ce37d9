'use strict'

const { native } = require('./error.cjs')
const { readers, writers } = require('./handles.cjs')
const { toBytes, toCount, toDurability } = require('./options.cjs')
const { DISPOSE, INTERNAL, requireInternal } = require('./scan.cjs')

/** A value that is read piece by piece. */
class ValueReader {
  #handle
  #database
  #length

  constructor(token, handle, database) {
    requireInternal(token, 'call valueReader')
    this.#handle = handle
    this.#database = database
    this.#length = native.readerLength(handle)
  }

  get length() {
    return this.#length
  }

  read(offset, length) {
    const start = toCount(offset, 'offset')
    const wanted = length === undefined ? this.#length : toCount(length, 'length')
    if (this.#database.closed) this.#refuse()
    const piece = Buffer.allocUnsafe(Math.max(0, Math.min(wanted, this.#length - start)))
    const count = native.readerRead(this.#handle, start, piece)
    return count === piece.length ? piece : piece.subarray(0, count)
  }

  close() {
    native.readerClose(this.#handle)
    this.#handle = readers.release(this.#handle)
  }

  [DISPOSE]() {
    this.close()
  }

  /** What a reader gives must not outlive the database: ends it and throws what the closed database throws. */
  #refuse() {
    this.close()
    native.databaseKeyspaces(this.#database.handle)
  }
}

/** A value that is written piece by piece. */
class ValueWriter {
  #handle
  // Read by nobody: it keeps the database open for as long as the writer is there.
  #database
  #length

  constructor(token, handle, database, length) {
    requireInternal(token, 'call valueWriter')
    this.#handle = handle
    this.#database = database
    this.#length = length
  }

  get length() {
    return this.#length
  }

  get written() {
    return native.writerWritten(this.#handle)
  }

  write(chunk) {
    native.writerWrite(this.#handle, toBytes(chunk, 'chunk'))
    return this
  }

  finish(options) {
    const durability = toDurability(options)
    try {
      native.writerFinish(this.#handle, durability)
    } finally {
      this.#end()
    }
  }

  async finishAsync(options) {
    const durability = toDurability(options)
    const finished = native.writerFinishAsync(this.#handle, durability)
    this.#end()
    await finished
  }

  [DISPOSE]() {
    native.writerRelease(this.#handle)
    this.#end()
  }

  /** Gives the handle back, which the native layer has emptied, whether or not the call succeeded. */
  #end() {
    this.#handle = writers.release(this.#handle)
  }
}

/** A reader in a handle that `open` fills, if the key is there. */
function openReader(open, database) {
  let found = false
  const handle = readers.fill((reader) => (found = open(reader)))
  if (found) return new ValueReader(INTERNAL, handle, database)
  readers.release(handle)
  return undefined
}

/** A writer in a handle that `begin` fills. */
function beginWriter(begin, database, length) {
  return new ValueWriter(INTERNAL, writers.fill(begin), database, length)
}

module.exports = { ValueReader, ValueWriter, beginWriter, openReader }
