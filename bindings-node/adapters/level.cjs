'use strict'

const { AbstractIterator, AbstractKeyIterator, AbstractLevel, AbstractSnapshot, AbstractValueIterator } =
  require('abstract-level')
const { openAsync } = require('opendb')

const { removeKeys } = require('./remove.cjs')

const SYNC = { durability: 'sync' }
const NUL = Buffer.alloc(1)

const toBuffer = (bytes) => (typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
const after = (key) => Buffer.concat([toBuffer(key), NUL])

/** Bytes of the database as abstract-level wants them in this format. */
function decode(bytes, format) {
  if (bytes === undefined || format === 'buffer') return bytes
  if (format === 'utf8') return bytes.toString()
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What lies between the options of a range: from the first key, itself included, to the second one, not included. */
function boundsOf({ gt, gte, lt, lte }) {
  const start = gte !== undefined ? toBuffer(gte) : gt !== undefined ? after(gt) : undefined
  const end = lte !== undefined ? after(lte) : lt !== undefined ? toBuffer(lt) : undefined
  return { start, end }
}

const isWithin = (key, { start, end }) =>
  (start === undefined || Buffer.compare(key, start) >= 0) && (end === undefined || Buffer.compare(key, end) < 0)

/** A moment of the database. */
class OpenDBLevelSnapshot extends AbstractSnapshot {
  constructor(options, snapshot) {
    super(options)
    this.snapshot = snapshot
  }

  async _close() {
    this.snapshot.close()
  }
}

/**
 * What the three kinds of iterators have in common. `take` makes of what the scan gives what the iterator gives.
 */
const withScan = (Base, take) =>
  class extends Base {
    #snapshot
    #isOwnSnapshot
    #bounds
    #options
    // Where a seek has gone, in place of an end of the range.
    #from
    #scan

    constructor(db, snapshot, options) {
      super(db, options)
      this.#options = options
      this.#bounds = boundsOf(options)
      this.#isOwnSnapshot = options.snapshot == null
      this.#snapshot = this.#isOwnSnapshot ? snapshot() : options.snapshot.snapshot
    }

    /** The scan, begun with its first use: of a snapshot that is closed by then there is none. */
    #entries() {
      const options = { ...this.#bounds, ...this.#from, reverse: this.#options.reverse }
      this.#scan ??= this.#options.values === false ? this.#snapshot.keys(options) : this.#snapshot.iter(options)
      return this.#scan
    }

    async _next() {
      const { done, value } = this.#entries().next()
      return done ? undefined : take(value, this.#options)
    }

    async _nextv(size) {
      const [entries, items] = [this.#entries(), []]
      while (items.length < size) {
        const { done, value } = entries.next()
        if (done) break
        items.push(take(value, this.#options))
      }
      return items
    }

    _seek(target) {
      this.#scan?.return()
      this.#scan = undefined
      const key = toBuffer(target)
      // Outside of the range there is nothing, also where the scan would come into it from there.
      if (!isWithin(key, this.#bounds)) this.#from = { start: key, end: key }
      else this.#from = this.#options.reverse ? { end: after(key) } : { start: key }
    }

    async _close() {
      this.#scan?.return()
      if (this.#isOwnSnapshot) this.#snapshot.close()
    }
  }

const OpenDBLevelIterator = withScan(AbstractIterator, (found, options) =>
  options.values === false
    ? [decode(found, options.keyEncoding), undefined]
    : [options.keys ? decode(found[0], options.keyEncoding) : undefined, decode(found[1], options.valueEncoding)],
)
const OpenDBLevelKeys = withScan(AbstractKeyIterator, (key, options) => decode(key, options.keyEncoding))
const OpenDBLevelValues = withScan(AbstractValueIterator, ([, value], options) => decode(value, options.valueEncoding))

/** A database as the Level family has it. */
class OpenDBLevel extends AbstractLevel {
  #location
  #keyspaceName
  #options
  #database
  #keyspace

  constructor(location, options) {
    // Those of abstract-level go on to its hooks, where others would not be expected.
    const { keyspace = 'default', opendb, ...forward } = options ?? {}
    super(
      {
        encodings: { buffer: true, utf8: true, view: true },
        createIfMissing: true,
        errorIfExists: true,
        explicitSnapshots: true,
        getSync: true,
        has: true,
        implicitSnapshots: true,
        seek: true,
      },
      forward,
    )
    this.#location = location
    this.#keyspaceName = keyspace
    this.#options = opendb
  }

  get location() {
    return this.#location
  }

  get opendb() {
    return this.#database
  }

  async _open({ createIfMissing, errorIfExists }) {
    const isThere = createIfMissing && !errorIfExists ? undefined : await exists(this.#location, this.#options)
    if (isThere === true && errorIfExists) throw new Error(`a database exists in ${this.#location} already`)
    if (isThere === false && !createIfMissing) throw new Error(`a database does not exist in ${this.#location}`)
    this.#database = await openAsync(this.#location, this.#options)
    this.#keyspace = this.#database.keyspace(this.#keyspaceName)
  }

  async _close() {
    this.#database.close()
  }

  #reader(options) {
    return options.snapshot == null ? this.#keyspace : options.snapshot.snapshot
  }

  #beginSnapshot() {
    const all = this.#database.snapshot()
    if (this.#keyspaceName === 'default') return all
    const snapshot = all.keyspace(this.#keyspaceName)
    all.close()
    return snapshot
  }

  _getSync(key, options) {
    const reader = this.#reader(options)
    if (options.valueEncoding === 'utf8') return reader.getString(key)
    return decode(reader.get(key), options.valueEncoding)
  }

  async _get(key, options) {
    return this._getSync(key, options)
  }

  async _getMany(keys, options) {
    const values = this.#reader(options).getMany(keys)
    return values.map((value) => decode(value, options.valueEncoding))
  }

  async _has(key, options) {
    return this.#reader(options).exists(key)
  }

  async _hasMany(keys, options) {
    const reader = this.#reader(options)
    return keys.map((key) => reader.exists(key))
  }

  async _put(key, value, options) {
    if (options.sync) return this.#keyspace.putAsync(key, value, SYNC)
    this.#keyspace.put(key, value)
  }

  async _del(key, options) {
    if (options.sync) return this.#keyspace.deleteAsync(key, SYNC)
    this.#keyspace.delete(key)
  }

  async _batch(operations, options) {
    const batch = this.#database.batch()
    for (const { type, key, value } of operations) {
      if (type === 'put') batch.put(this.#keyspaceName, key, value)
      else batch.delete(this.#keyspaceName, key)
    }
    if (options.sync) return batch.commitAsync(SYNC)
    batch.commit()
  }

  async _clear(options) {
    const { limit, reverse } = options
    const bounds = { ...boundsOf(options), reverse, limit: limit < 0 ? undefined : limit }
    removeKeys(this.#database, this.#keyspaceName, this.#reader(options).keys(bounds))
  }

  _iterator(options) {
    return new OpenDBLevelIterator(this, () => this.#beginSnapshot(), options)
  }

  _keys(options) {
    return new OpenDBLevelKeys(this, () => this.#beginSnapshot(), { ...options, values: false })
  }

  _values(options) {
    return new OpenDBLevelValues(this, () => this.#beginSnapshot(), { ...options, values: true })
  }

  _snapshot(options) {
    return new OpenDBLevelSnapshot(options, this.#beginSnapshot())
  }
}

/** Whether there is a database. What keeps it from being opened is for the open to tell. */
async function exists(location, options) {
  try {
    const database = await openAsync(location, { ...options, create: false })
    database.close()
    return true
  } catch (error) {
    if (error.code === 'OPENDB_IO' || error.code === 'OPENDB_INVALID_ARGUMENT') return false
    throw error
  }
}

module.exports = { OpenDBLevel }
