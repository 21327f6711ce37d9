import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { open } from 'opendb'
import { database, directory, rejected, thrown } from './helper.mjs'

const require = createRequire(import.meta.url)
const { native } = require('../lib/error.cjs')

const INVALID = 'OPENDB_INVALID_ARGUMENT'
const LARGE = (1 << 20) + 12345
const PIECE = 99_999

function writeInPieces(writer, value) {
  for (let at = 0; at < value.length; at += PIECE) writer.write(value.subarray(at, at + PIECE))
  return writer
}

function readInPieces(reader) {
  const pieces = []
  for (let at = 0; at < reader.length; at += PIECE) pieces.push(reader.read(at, PIECE))
  return Buffer.concat(pieces)
}

test('a value of any length is written and read piece by piece', async (context) => {
  const db = database(context)
  for (const store of [db, db.keyspace('other')]) {
    for (const length of [0, 1, 1000, 1 << 20, LARGE]) {
      const value = randomBytes(length)
      const writer = writeInPieces(store.valueWriter('key', length), value)
      assert.deepEqual([writer.length, writer.written, store.exists('key')], [length, length, false])
      writer.finish({ durability: 'sync' })
      assert.ok(store.get('key').equals(value))
      const reader = store.valueReader('key')
      assert.equal(reader.length, length)
      assert.ok(readInPieces(reader).equals(value))
      assert.ok(reader.read(0).equals(value))
      assert.ok(reader.read(length >> 1).equals(value.subarray(length >> 1)))
      assert.equal(reader.read(length).length + reader.read(length + 5, 10).length, 0)
      reader.close()
      await writeInPieces(store.valueWriter('other', length), value).finishAsync({ durability: 'sync' })
      assert.ok(store.get('other').equals(value))
      store.delete('key')
    }
    assert.equal(store.valueReader('absent'), undefined)
  }
})

test('more or less than announced is refused, and nothing of the value is there', async (context) => {
  const db = database(context)
  const writer = db.valueWriter('key', 10)
  thrown(INVALID, () => writer.write('12345678901'))
  assert.equal(writer.write('123456789').written, 9)
  thrown(INVALID, () => writer.finish())
  thrown(INVALID, () => writer.write('0'))
  thrown(INVALID, () => writer.written)
  await rejected(INVALID, db.valueWriter('key', 10).finishAsync())
  for (const length of [-1, 1.5, '5', undefined, 2 ** 32, 2 ** 60]) thrown(INVALID, () => db.valueWriter('key', length))
  thrown(INVALID, () => db.valueWriter('key', 1).write(5))
  thrown(INVALID, () => db.valueWriter('key', 0).finish({ durability: 'none' }))
  assert.equal(db.exists('key'), false)
})

test('a place that is none is refused', (context) => {
  const db = database(context)
  db.put('key', 'value')
  const reader = db.valueReader('key')
  for (const offset of [-1, 0.5, '0', undefined]) thrown(INVALID, () => reader.read(offset))
  thrown(INVALID, () => reader.read(0, -1))
  assert.equal(String(reader.read(2 ** 52, 10)), '')
  reader.close()
  reader.close()
  thrown(INVALID, () => reader.read(0))
  assert.equal(reader.length, 5)
})

test('a reader keeps its value and a snapshot has its own', (context) => {
  const db = database(context)
  const value = randomBytes(LARGE)
  db.put('key', value)
  const reader = db.valueReader('key')
  const snapshot = db.snapshot()
  db.put('key', 'other')
  assert.ok(reader.read(0).equals(value))
  assert.ok(snapshot.valueReader('key').read(5, 100).equals(value.subarray(5, 105)))
  assert.equal(snapshot.valueReader('absent'), undefined)
  assert.equal(String(db.valueReader('key').read(0)), 'other')
})

test('nobody waits for a value that is half written', (context) => {
  const db = database(context)
  const value = randomBytes(LARGE)
  const writer = db.valueWriter('stream', LARGE).write(value.subarray(0, 1000))
  db.put('small', 'value', { durability: 'sync' })
  db.put('large', value)
  writer.write(value.subarray(1000)).finish()
  assert.ok(db.get('large').equals(value) && db.get('stream').equals(value))
})

test('a close of the database ends readers and writers', (context) => {
  const db = database(context)
  db.put('key', randomBytes(LARGE))
  const [reader, writer] = [db.valueReader('key'), db.valueWriter('other', LARGE).write('half')]
  db.close()
  thrown('OPENDB_CLOSED', () => reader.read(0))
  thrown('OPENDB_CLOSED', () => writer.write('more'))
  thrown('OPENDB_CLOSED', () => db.valueReader('key'))
  thrown('OPENDB_CLOSED', () => db.valueWriter('key', 1))
  writer[Symbol.dispose]()
})

test('what ends gives its handle to the next one', (context) => {
  const db = database(context)
  db.put('key', 'value')
  const before = native.liveObjects()
  for (let round = 0; round < 1000; round++) {
    const reader = db.valueReader('key')
    reader[Symbol.dispose]()
    db.valueReader('absent')
    db.valueWriter('key', 5).write('value').finish()
    db.valueWriter('key', LARGE)[Symbol.dispose]()
  }
  const after = native.liveObjects()
  assert.ok(after.handles <= before.handles + 3, `${after.handles - before.handles} more handles`)
  assert.equal(after.held, before.held)
  assert.ok(db.stats().segments <= 2)
})

test('compression stays with the keyspace', (context) => {
  const path = directory(context)
  const text = 'the same line once more\n'.repeat(4000)
  let db = open(path)
  const pages = db.keyspace('pages', { compression: 'lz4' })
  assert.deepEqual([pages.compression, db.keyspace('plain').compression], ['lz4', 'none'])
  pages.put('a', text)
  pages.valueWriter('b', text.length).write(text).finish()
  assert.ok(db.stats().liveBytes < text.length / 10)
  assert.deepEqual([pages.getString('a'), String(pages.valueReader('b').read(0))], [text, text])
  db.close()
  db = open(path)
  assert.equal(db.keyspace('pages').compression, 'lz4')
  const changed = db.keyspace('pages', { compression: 'none' })
  assert.deepEqual([changed.compression, changed.getString('a')], ['none', text])
  assert.equal(db.keyspace('default', { compression: 'lz4' }).compression, 'lz4')
  thrown(INVALID, () => db.keyspace('pages', { compression: 'zip' }))
  thrown(INVALID, () => db.keyspace('pages', { compress: 'lz4' }))
  db.close()
})
