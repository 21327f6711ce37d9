import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScanIterator } from 'opendb'
import { database, texts, thrown } from './helper.mjs'

/** A database with the keys a to e, each with itself in capitals as value. */
function letters(context) {
  const db = database(context)
  for (const letter of 'dbeca') db.put(letter, letter.toUpperCase())
  return db
}

const keysOf = (iterator) => Array.from(iterator, String).join('')

test('scanPrefix gives sorted pairs of Buffers', (context) => {
  const db = database(context)
  db.put('user:2', 'Bob')
  db.put('user:10', 'Carol')
  db.put('user:1', 'Alice')
  db.put('userx', 'no')
  const entries = db.scanPrefix('user:')
  assert.ok(Array.isArray(entries))
  for (const [key, value] of entries) assert.ok(Buffer.isBuffer(key) && Buffer.isBuffer(value))
  assert.deepEqual(texts(entries), [['user:1', 'Alice'], ['user:10', 'Carol'], ['user:2', 'Bob']])
  assert.deepEqual(db.scanPrefix('nothing'), [])
  assert.equal(db.scanPrefix('').length, 4)
})

test('keys are sorted by bytes', (context) => {
  const db = database(context)
  for (const byte of [255, 0, 127, 128]) db.put(Buffer.from([byte]), '')
  assert.deepEqual(Array.from(db.keys(), (key) => key[0]), [0, 127, 128, 255])
})

test('iter gives what its options ask for', (context) => {
  const db = letters(context)
  const scans = [
    [undefined, 'abcde'],
    [{}, 'abcde'],
    [{ prefix: 'c' }, 'c'],
    [{ start: 'b' }, 'bcde'],
    [{ end: 'd' }, 'abc'],
    [{ start: 'b', end: 'd' }, 'bc'],
    [{ start: 'd', end: 'b' }, ''],
    [{ startAfter: 'b' }, 'cde'],
    [{ reverse: true }, 'edcba'],
    [{ reverse: false }, 'abcde'],
    [{ reverse: true, startAfter: 'c' }, 'ba'],
    [{ reverse: true, start: 'b', end: 'e' }, 'dcb'],
    [{ limit: 2 }, 'ab'],
    [{ limit: 0 }, ''],
    [{ limit: 2, reverse: true }, 'ed'],
    [{ start: Buffer.from('b'), limit: 1 }, 'b'],
    [{ start: undefined, end: undefined, limit: undefined, prefix: undefined, reverse: undefined }, 'abcde'],
  ]
  for (const [options, keys] of scans) {
    const entries = keys.split('').map((key) => [key, key.toUpperCase()])
    assert.deepEqual(texts(db.iter(options)), entries, JSON.stringify(options))
    assert.equal(keysOf(db.keys(options)), keys, JSON.stringify(options))
    assert.deepEqual(texts(db.snapshot().iter(options)), entries)
    assert.equal(keysOf(db.snapshot().keys(options)), keys)
    const transaction = db.beginTransaction()
    assert.deepEqual(texts(transaction.iter('default', options)), entries)
    assert.equal(keysOf(transaction.keys('default', options)), keys)
  }
})

test('a keyspace has scans of its own', (context) => {
  const db = letters(context)
  const other = db.keyspace('other')
  other.put('x1', '1')
  other.put('y2', '2')
  assert.deepEqual(texts(other.scanPrefix('x')), [['x1', '1']])
  assert.deepEqual(texts(other.iter({ reverse: true })), [['y2', '2'], ['x1', '1']])
  assert.equal(keysOf(other.keys()), 'x1y2')
})

test('scans of many pages are whole and in order', (context) => {
  const db = database(context)
  const batch = db.batch()
  const count = 20_000
  for (let number = 0; number < count; number++) {
    batch.put('default', String(number).padStart(6, '0'), `value ${number}`)
  }
  batch.commit()
  let next = 0
  for (const [key, value] of db.iter()) {
    assert.equal(String(key), String(next).padStart(6, '0'))
    assert.equal(String(value), `value ${next}`)
    next++
  }
  assert.equal(next, count)
  assert.equal(db.scanPrefix('').length, count)
  for (const key of db.keys({ reverse: true })) assert.equal(Number(key), --next)
  assert.equal(next, 0)
})

test('entries larger than a page come whole', (context) => {
  const db = database(context)
  const sizes = [10, 200_000, 0, 4096, 65_536, 1 << 20, 1]
  for (const [at, size] of sizes.entries()) db.put(`key ${at}`, Buffer.alloc(size, at))
  const values = Array.from(db.iter(), ([, value]) => value)
  assert.deepEqual(values.map((value) => value.length), sizes)
  for (const [at, value] of values.entries()) assert.ok(value.equals(Buffer.alloc(sizes[at], at)))
})

test('an empty key is an entry, not the end', (context) => {
  const db = database(context)
  db.put('', '')
  assert.deepEqual(texts(db.iter()), [['', '']])
  assert.deepEqual(Array.from(db.keys()), [Buffer.alloc(0)])
})

test('an iterator sees the moment it was made at', (context) => {
  const db = letters(context)
  const iterator = db.iter()
  db.put('a', 'changed')
  db.put('f', 'F')
  db.delete('e')
  assert.equal(keysOf(db.keys()), 'abcdf')
  assert.deepEqual(texts(iterator), [...'abcde'].map((key) => [key, key.toUpperCase()]))
})

test('leaving a loop in the middle closes the iterator', (context) => {
  const db = letters(context)
  const iterator = db.iter()
  for (const [key] of iterator) if (String(key) === 'b') break
  assert.deepEqual(iterator.next(), { done: true, value: undefined })
  assert.deepEqual([...iterator], [])
})

test('a loop that throws closes the iterator', (context) => {
  const db = letters(context)
  const iterator = db.keys()
  assert.throws(() => {
    for (const key of iterator) throw new RangeError(String(key))
  }, { name: 'RangeError', message: 'a' })
  assert.equal(iterator.next().done, true)
})

test('return and dispose close an iterator, also twice and after its end', (context) => {
  const db = letters(context)
  const iterator = db.iter()
  assert.equal(iterator.next().done, false)
  assert.deepEqual(iterator.return(), { done: true, value: undefined })
  iterator.return()
  iterator[Symbol.dispose]()
  assert.equal(iterator.next().done, true)
  const finished = db.keys()
  assert.equal(keysOf(finished), 'abcde')
  assert.equal(finished.next().done, true)
  finished[Symbol.dispose]()
})

test('an iterator goes on where a loop over it was not closed', (context) => {
  const db = letters(context)
  const iterator = db.keys()
  assert.equal(String(iterator.next().value), 'a')
  assert.equal(keysOf(iterator), 'bcde')
})

test('an iterator is its own iterable, of the class it says', (context) => {
  const iterator = letters(context).iter()
  assert.equal(iterator[Symbol.iterator](), iterator)
  assert.ok(iterator instanceof ScanIterator)
  const common = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))
  assert.ok(common.isPrototypeOf(iterator))
})

test('two iterators do not disturb each other', (context) => {
  const db = letters(context)
  const pairs = []
  for (const [outer] of db.iter()) for (const inner of db.keys({ limit: 2 })) pairs.push(`${outer}${inner}`)
  assert.equal(pairs.join(' '), 'aa ab ba bb ca cb da db ea eb')
})

test('an open iterator does not hold up close, and is closed after it', (context) => {
  const db = letters(context)
  const begun = db.iter()
  const fresh = db.keys()
  assert.equal(String(begun.next().value[0]), 'a')
  db.close()
  thrown('OPENDB_CLOSED', () => begun.next())
  thrown('OPENDB_CLOSED', () => fresh.next())
  begun.return()
  assert.equal(begun.next().done, true)
})
