// The stores, each in the fastest setting in which a put survives the death of the process, and with what a reader of
// the numbers must know of it. The loop over many calls stands in the store, so that no call of ours comes between. A scan
// gives keys and values in turns.

import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const CACHE_BYTES = 2 ** 30
const WRITE_BUFFER_BYTES = 2 ** 26
// LMDB wants to know in advance how large its file may grow. It is sparse.
const LMDB_MAP_BYTES = 2 ** 36

class OpenDB {
  constructor(db) {
    this.db = db
  }

  putEach(entries) {
    for (const [key, value] of entries) this.db.put(key, value)
  }

  getEach(keys) {
    return keys.map((key) => this.db.get(key))
  }

  batch(entries) {
    const batch = this.db.batch()
    for (const [key, value] of entries) batch.put('default', key, value)
    batch.commit()
  }

  scan(start, limit) {
    const found = []
    for (const [key, value] of this.db.iter({ start, limit })) found.push(key, value)
    return found
  }

  settle() {
    this.db.compact()
  }

  close() {
    this.db.close()
  }
}

class Lmdb {
  constructor(db) {
    this.db = db
  }

  putEach(entries) {
    for (const [key, value] of entries) this.db.putSync(key, value)
  }

  getEach(keys) {
    return keys.map((key) => this.db.get(key))
  }

  batch(entries) {
    this.db.transactionSync(() => {
      for (const [key, value] of entries) this.db.putSync(key, value)
    })
  }

  scan(start, limit) {
    const found = []
    for (const { key, value } of this.db.getRange({ start, limit })) found.push(key, value)
    return found
  }

  settle() {}

  close() {
    return this.db.close()
  }
}

class Level {
  constructor(db) {
    this.db = db
  }

  async putEach(entries) {
    for (const [key, value] of entries) await this.db.put(key, value)
  }

  getEach(keys) {
    return keys.map((key) => this.db.getSync(key))
  }

  async batch(entries) {
    await this.db.batch(entries.map(([key, value]) => ({ type: 'put', key, value })))
  }

  async scan(start, limit) {
    const entries = await this.db.iterator({ gte: start, limit, highWaterMarkBytes: 2 ** 20 }).all()
    return entries.flat()
  }

  async settle() {
    await this.db.compactRange(Buffer.alloc(0), Buffer.alloc(64, 0xff))
  }

  async close() {
    await this.db.close()
  }
}

class Sqlite {
  constructor(db) {
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = OFF')
    db.pragma(`cache_size = -${CACHE_BYTES / 1024}`)
    db.exec('CREATE TABLE entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID')
    this.db = db
    this.put = db.prepare('INSERT INTO entries VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    this.get = db.prepare('SELECT value FROM entries WHERE key = ?').pluck()
    this.range = db.prepare('SELECT key, value FROM entries WHERE key >= ? ORDER BY key LIMIT ?').raw()
    this.batch = db.transaction((entries) => this.putEach(entries))
  }

  putEach(entries) {
    for (const [key, value] of entries) this.put.run(key, value)
  }

  getEach(keys) {
    return keys.map((key) => this.get.get(key))
  }

  scan(start, limit) {
    return this.range.all(start, limit).flat()
  }

  settle() {
    this.db.exec('VACUUM')
  }

  close() {
    this.db.close()
  }
}

class Floor {
  entries = new Map()

  putEach(entries) {
    for (const [key, value] of entries) this.entries.set(key.latin1Slice(), value)
  }

  getEach(keys) {
    return keys.map((key) => this.entries.get(key.latin1Slice()))
  }

  batch(entries) {
    this.putEach(entries)
  }

  settle() {}

  close() {}
}

// The packages of the others are installed beside this file.
const require = createRequire(import.meta.url)
const versionIn = (directory) => require(join(directory, 'package.json')).version
const directoryOf = (name) => fileURLToPath(new URL(`node_modules/${name}`, import.meta.url))
const importOpenDB = (directory) => import(pathToFileURL(join(directory, 'index.mjs')).href)

const LMDB_OPTIONS = { encoding: 'binary', keyEncoding: 'binary', noSync: true, noMemInit: true, mapSize: LMDB_MAP_BYTES }
const LMDB_SETTINGS =
  'noSync, noMemInit, keys and values as binary; putSync and get, each in a transaction of its own as lmdb-js makes it; ' +
  'batches with transactionSync'

function openLmdb(path, options) {
  const { open } = require('lmdb')
  return new Lmdb(open({ path, ...LMDB_OPTIONS, ...options }))
}

const KINDS = [
  {
    id: 'opendb',
    name: 'OpenDB',
    open: async (path, opendb) => new OpenDB((await importOpenDB(opendb)).open(path)),
    load: async (opendb) => void (await importOpenDB(opendb)),
    version: (opendb) => `opendb ${versionIn(opendb)}`,
    survives:
      'default options: each write is a commit through a mapping; the device is synced in the background at least ' +
      'once a second',
    settling: 'compact()',
  },
  {
    id: 'lmdb',
    name: 'lmdb-js',
    open: (path) => openLmdb(path, {}),
    package: 'lmdb',
    survives: LMDB_SETTINGS,
    settling: 'nothing: it has no call for it',
  },
  {
    id: 'lmdb-writemap',
    name: 'lmdb-js, writable map',
    open: (path) => openLmdb(path, { useWritemap: true }),
    package: 'lmdb',
    survives: `${LMDB_SETTINGS}; useWritemap`,
    settling: 'nothing: it has no call for it',
  },
  {
    id: 'classic-level',
    name: 'classic-level',
    open: async (path) => {
      const { ClassicLevel } = require('classic-level')
      const db = new ClassicLevel(path, {
        keyEncoding: 'buffer',
        valueEncoding: 'buffer',
        compression: false,
        cacheSize: CACHE_BYTES,
        writeBufferSize: WRITE_BUFFER_BYTES,
      })
      await db.open()
      return new Level(db)
    },
    package: 'classic-level',
    survives:
      'log to the page cache with each write, no compression, cache of 1 GiB, write buffer of 64 MiB; getSync, and ' +
      'everything else as a promise that is waited for, since it has no other way',
    settling: 'compactRange() over everything',
  },
  {
    id: 'better-sqlite3',
    name: 'better-sqlite3',
    open: (path) => {
      mkdirSync(path)
      return new Sqlite(new (require('better-sqlite3'))(join(path, 'db')))
    },
    load: () => void new (require('better-sqlite3'))(':memory:').close(),
    package: 'better-sqlite3',
    survives:
      'WAL with synchronous=OFF, locking_mode=EXCLUSIVE, one table WITHOUT ROWID, cache of 1 GiB; prepared statements, ' +
      'autocommit a put, one transaction a batch',
    settling: 'VACUUM',
  },
  {
    id: 'map',
    name: 'Map',
    open: () => new Floor(),
    load: () => {},
    version: () => `Node.js ${process.version}`,
    survives: 'nothing survives: the map of the language, with keys made to strings, as the floor',
    settling: 'nothing',
    persistent: false,
    lacking: { scan: 'no order' },
  },
]

/** One store. `opendb` is the directory of the package that is measured. */
class Kind {
  #definition
  #opendb

  constructor(definition, opendb) {
    this.#definition = definition
    this.#opendb = opendb
    this.id = definition.id
    this.name = definition.name
  }

  async open(path) {
    return this.#definition.open(path, this.#opendb)
  }

  /** Why there is nothing to measure for a row. */
  lacks(row) {
    const lacking = Object.entries(this.#definition.lacking ?? {})
    return lacking.find(([group]) => row.startsWith(group))?.[1]
  }

  /** Why it cannot be measured here. */
  async missing() {
    try {
      await (this.#definition.load ?? (() => void require(this.#definition.package)))(this.#opendb)
      return undefined
    } catch (error) {
      return `it cannot be loaded: ${error.message.split('\n')[0]}`
    }
  }

  /** What the first line of a run says of it. */
  profile() {
    const { package: name, persistent = true, survives, settling } = this.#definition
    const versioned = this.#definition.version?.(this.#opendb) ?? `${name} ${versionIn(directoryOf(name))}`
    return { id: this.id, name: this.name, version: versioned, persistent, survives, settling }
  }
}

export const IDS = KINDS.map(({ id }) => id)

export function kinds(ids, opendb) {
  return KINDS.filter(({ id }) => ids.includes(id)).map((definition) => new Kind(definition, opendb))
}
