// The Node door as a driver: one command a line on standard input, one answer a line on standard output.
//
// The protocol stands in tests/src/protocol.rs. This program knows the calls of the package and no right answers.
// What waits for the device goes through the calls that return promises, everything else through the others.

import { createInterface } from 'node:readline'

import { open, OpenDBError, Snapshot, ValueWriter } from '../../bindings-node/index.mjs'

class Failure extends Error {}

const toWord = (bytes) => `x${Buffer.from(bytes).toString('hex')}`

function fromWord(word) {
  if (!/^x([0-9a-f]{2})*$/.test(word)) throw new Failure('not a word of bytes')
  return Buffer.from(word.slice(1), 'hex')
}

const toText = (word) => fromWord(word).toString('utf8')
const writeOptions = (wait) => (wait === 'default' ? undefined : { durability: wait })

function scanOptions([prefix, start, end, startAfter, limit, direction]) {
  const options = { reverse: direction === 'reverse' }
  for (const [name, word] of Object.entries({ prefix, start, end, startAfter })) {
    if (word !== '-') options[name] = fromWord(word)
  }
  if (limit !== '-') options.limit = Number(limit)
  return options
}

/** `segment_bytes=65536` is `segmentBytes: 65536` here. */
function setting(word) {
  const [name, value] = word.split('=')
  const camel = name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
  if (value === 'true' || value === 'false') return [camel, value === 'true']
  return [camel, /^\d+$/.test(value) ? Number(value) : value]
}

const entries = (items) => ['entries', ...items.map(([key, value]) => `${toWord(key)}=${toWord(value)}`)].join(' ')
const keys = (items) => ['keys', ...items.map(toWord)].join(' ')

/** A handle, and those of its keyspaces, which are kept so that they are used after a close too. */
class Database {
  constructor(path, settings) {
    this.handle = open(path, settings)
    this.keyspaces = new Map()
  }

  keyspace(name) {
    if (!this.keyspaces.has(name)) this.keyspaces.set(name, this.handle.keyspace(name))
    return this.keyspaces.get(name)
  }
}

/** An iterator, and whether it gives keys or entries. */
class Cursor {
  constructor(iterator, keysOnly) {
    this.iterator = iterator
    this.keysOnly = keysOnly
  }
}

const objects = new Map()

function object(name) {
  if (!objects.has(name)) throw new Failure(`there is no object ${name}`)
  return objects.get(name)
}

function take(name) {
  const target = object(name)
  objects.delete(name)
  return target
}

/** What to call for a keyspace of an object, and with what first arguments. */
function reader(name, keyspaceWord) {
  const target = object(name)
  const keyspace = toText(keyspaceWord)
  if (target instanceof Database) return [keyspace === 'default' ? target.handle : target.keyspace(keyspace), []]
  if (target instanceof Snapshot) return [keyspace === 'default' ? target : target.keyspace(keyspace), []]
  return [target, [keyspace]]
}

function make(call) {
  return (name, ...words) => {
    objects.set(name, call(...words))
    return 'ok'
  }
}

const verbs = {
  open: make((path, ...settings) => new Database(toText(path), Object.fromEntries(settings.map(setting)))),
  begin: make((database) => object(database).handle.beginTransaction()),
  snapshot: make((database) => object(database).handle.snapshot()),
  batch: make((database) => object(database).handle.batch()),
  cursor: make((source, keyspace, what, ...scan) => {
    const [target, first] = reader(source, keyspace)
    const keysOnly = what === 'keys'
    return new Cursor(target[keysOnly ? 'keys' : 'iter'](...first, scanOptions(scan)), keysOnly)
  }),
  async commit(name, wait) {
    const target = take(name)
    if (target instanceof ValueWriter) {
      if (wait === 'sync') await target.finishAsync(writeOptions(wait))
      else target.finish(writeOptions(wait))
    } else if (wait === 'sync') await target.commitAsync(writeOptions(wait))
    else target.commit(writeOptions(wait))
    return 'ok'
  },
  rollback(name) {
    take(name).rollback()
    return 'ok'
  },
  drop(name) {
    const target = take(name)
    const inner = target instanceof Cursor ? target.iterator : target instanceof Database ? target.handle : target
    inner[Symbol.dispose]()
    return 'ok'
  },
  close(name) {
    object(name).handle.close()
    return 'ok'
  },
  async refresh(name) {
    await object(name).handle.refresh()
    return 'ok'
  },
  async flush(name) {
    await object(name).handle.flush()
    return 'ok'
  },
  compact(name) {
    object(name).handle.compact()
    return 'ok'
  },
  verify: (name) => `count ${object(name).handle.verify().violations.length}`,
  keyspaces: (name) => ['names', ...object(name).handle.keyspaces().map(toWord)].join(' '),
  keyspace(name, keyspace) {
    const database = object(name)
    database.keyspaces.set(toText(keyspace), database.handle.keyspace(toText(keyspace)))
    return 'ok'
  },
  compress(name, keyspace, compression) {
    const database = object(name)
    database.keyspaces.set(toText(keyspace), database.handle.keyspace(toText(keyspace), { compression }))
    return 'ok'
  },
  reader(name, source, keyspace, key) {
    const [target] = reader(source, keyspace)
    const opened = target.valueReader(fromWord(key))
    if (opened === undefined) return 'none'
    objects.set(name, opened)
    return 'ok'
  },
  read: (name, offset, length) => `value ${toWord(object(name).read(Number(offset), Number(length)))}`,
  writer: make((source, keyspace, key, length) => {
    const [target] = reader(source, keyspace)
    return target.valueWriter(fromWord(key), Number(length))
  }),
  write(name, piece) {
    object(name).write(fromWord(piece))
    return 'ok'
  },
  len: (name, keyspace) => `count ${reader(name, keyspace)[0].size}`,
  get(name, keyspace, key) {
    const [target, first] = reader(name, keyspace)
    const value = target.get(...first, fromWord(key))
    return value === undefined ? 'none' : `value ${toWord(value)}`
  },
  many(name, keyspace, ...keys) {
    const [target, first] = reader(name, keyspace)
    const values = target.getMany(...first, keys.map(fromWord))
    return ['values', ...values.map((value) => (value === undefined ? '-' : toWord(value)))].join(' ')
  },
  exists(name, keyspace, key) {
    const [target, first] = reader(name, keyspace)
    return target.exists(...first, fromWord(key)) ? 'yes' : 'no'
  },
  scan(name, keyspace, prefix) {
    const [target, first] = reader(name, keyspace)
    return entries(target.scanPrefix(...first, fromWord(prefix)))
  },
  iter(name, keyspace, ...scan) {
    const [target, first] = reader(name, keyspace)
    return entries([...target.iter(...first, scanOptions(scan))])
  },
  keys(name, keyspace, ...scan) {
    const [target, first] = reader(name, keyspace)
    return keys([...target.keys(...first, scanOptions(scan))])
  },
  next(name, count) {
    const { iterator, keysOnly } = object(name)
    const items = []
    while (items.length < Number(count)) {
      const { done, value } = iterator.next()
      if (done) break
      items.push(value)
    }
    return keysOnly ? keys(items) : entries(items)
  },
  async put(name, keyspace, key, value, wait) {
    const [target, first] = reader(name, keyspace)
    const bytes = [fromWord(key), fromWord(value)]
    if (wait === 'default') target.put(...first, ...bytes)
    else if (wait === 'sync') await target.putAsync(...bytes, writeOptions(wait))
    else target.put(...bytes, writeOptions(wait))
    return 'ok'
  },
  swap(name, keyspace, key, expected, replacement, wait) {
    const values = [expected, replacement].map((word) => (word === '-' ? undefined : fromWord(word)))
    return reader(name, keyspace)[0].compareAndSwap(fromWord(key), ...values, writeOptions(wait)) ? 'yes' : 'no'
  },
  take(name, keyspace, key, wait) {
    const value = reader(name, keyspace)[0].take(fromWord(key), writeOptions(wait))
    return value === undefined ? 'none' : `value ${toWord(value)}`
  },
  increment(name, keyspace, key, by, wait) {
    return `number ${reader(name, keyspace)[0].increment(fromWord(key), BigInt(by), writeOptions(wait))}`
  },
  async delete(name, keyspace, key, wait) {
    const [target, first] = reader(name, keyspace)
    if (wait === 'default') target.delete(...first, fromWord(key))
    else if (wait === 'sync') await target.deleteAsync(fromWord(key), writeOptions(wait))
    else target.delete(fromWord(key), writeOptions(wait))
    return 'ok'
  },
}

async function answer(line) {
  const [verb, ...words] = line.split(' ')
  if (!Object.hasOwn(verbs, verb)) return `failure unknown verb ${verb}`
  try {
    return await verbs[verb](...words)
  } catch (error) {
    if (error instanceof OpenDBError) return `error ${error.kind} ${error.code.replace(/^OPENDB_/, '')}`
    // Whatever else is thrown is a finding for the runner to show.
    return `failure ${error}`.replaceAll('\n', ' ')
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${await answer(line)}\n`)
}
