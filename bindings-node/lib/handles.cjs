'use strict'

const { native } = require('./error.cjs')

/** How many handles of one kind wait for another use: more than most programs have open at a time, in half a MiB. */
const WAITING_MAX = 1024

/**
 * The native handles of one kind of object.
 *
 * An object that ends gives up what its handle holds at once. The handle itself only goes with a finalizer, and Node.js
 * runs those at a turn of the event loop: in a loop that makes and ends objects without such a turn they would pile up.
 * So a handle that is empty again waits here for the next object.
 */
class Handles {
  /** What stands in an object that has ended for its handle: forever empty, so each call says that it has ended. */
  ended
  #make
  #waiting = []

  constructor(make) {
    this.ended = make()
    this.#make = make
  }

  /** A handle that `begin` has filled. */
  fill(begin) {
    const handle = this.#waiting.pop() ?? this.#make()
    try {
      begin(handle)
    } catch (error) {
      this.release(handle)
      throw error
    }
    return handle
  }

  /** Takes back the handle of an object, which must use the one returned from then on. */
  release(handle) {
    if (handle !== this.ended && this.#waiting.length < WAITING_MAX) this.#waiting.push(handle)
    return this.ended
  }
}

module.exports = {
  batches: new Handles(native.batchNew),
  cursors: new Handles(native.cursorNew),
  readers: new Handles(native.readerNew),
  snapshots: new Handles(native.snapshotNew),
  transactions: new Handles(native.transactionNew),
  writers: new Handles(native.writerNew),
}
