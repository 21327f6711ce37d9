import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { open, OpenDB } from 'opendb'
import { database, directory, thrown } from './helper.mjs'

const INVALID = 'OPENDB_INVALID_ARGUMENT'
const KEYS = Array.from({ length: 500 }, (_, number) => `key ${number}`)
// So large that nothing is sealed, and so nothing compacted, before it is asked for.
const SETTINGS = { segmentBytes: 16 << 20 }

/** Overwrites and deletes most of a database. */
function wear(db) {
  for (let turn = 0; turn < 4; turn++) {
    for (const key of KEYS) db.put(key, Buffer.alloc(1000, turn))
  }
  for (let at = 1; at < KEYS.length; at += 2) db.delete(KEYS[at])
  return db
}

/** The database is whole and has what `wear` left. */
function check(db) {
  const { violations, countsCompared } = db.verify()
  assert.deepEqual([violations, countsCompared], [[], true])
  const expected = KEYS.filter((_, at) => at % 2 === 0).sort()
  assert.deepEqual([...db.keys()].map(String), expected)
  for (const key of expected) assert.ok(db.get(key).equals(Buffer.alloc(1000, 3)))
}

test('compact gives back what was overwritten and deleted', (context) => {
  const path = directory(context)
  const db = wear(open(path, SETTINGS))
  const before = db.stats()
  const done = db.compact()
  const after = db.stats()
  assert.equal(done.segmentsRemoved, 1)
  assert.ok(done.bytesFreed > before.logBytes)
  assert.ok(after.deadBytes < before.deadBytes / 4)
  assert.ok(after.compactions > before.compactions && after.checkpoints > before.checkpoints)
  assert.ok(done.bytesCopied > 0 && after.bytesCopied >= before.bytesCopied + done.bytesCopied)
  assert.ok(after.writeAmplification > before.writeAmplification)
  check(db)
  db.close()
  const again = open(path, SETTINGS)
  assert.equal(again.stats().recovery.clean, true)
  check(again)
  again.close()
})

test('a snapshot keeps its moment across a compaction', (context) => {
  const db = wear(database(context, SETTINGS))
  const snapshot = db.snapshot()
  db.delete(KEYS[0])
  db.compact()
  assert.ok(snapshot.get(KEYS[0]).equals(Buffer.alloc(1000, 3)))
  assert.equal(db.get(KEYS[0]), undefined)
  snapshot.close()
  db.compact()
  assert.deepEqual(db.verify().violations, [])
})

test('progress is told how far it has come', (context) => {
  const db = wear(database(context, SETTINGS))
  const told = []
  db.compact((done, total) => told.push([done, total]))
  assert.ok(told.length > 1)
  assert.equal(told[0][0], 0)
  assert.equal(told.at(-1)[0], told.at(-1)[1])
  for (let at = 1; at < told.length; at++) assert.ok(told[at][0] >= told[at - 1][0])
})

test('progress stops with false', (context) => {
  const db = wear(database(context, SETTINGS))
  assert.equal(db.compact(() => false).segmentsRemoved, 0)
})

test('progress goes on with what is not false', (context) => {
  const db = wear(database(context, SETTINGS))
  assert.ok(db.compact(() => 0).segmentsRemoved > 0)
})

test('what progress throws stops and is thrown as it is', (context) => {
  const db = wear(database(context, SETTINGS))
  let calls = 0
  for (const reason of [new RangeError('of the caller'), undefined, 'a string']) {
    calls = 0
    let caught = 'nothing'
    try {
      db.compact(() => {
        calls++
        throw reason
      })
    } catch (error) {
      caught = error
    }
    assert.equal(caught, reason)
    assert.equal(calls, 1, 'it is not called again')
  }
  check(db)
})

test('progress reads and writes', (context) => {
  const db = wear(database(context, SETTINGS))
  db.compact((done) => {
    assert.ok(db.get(KEYS[0]))
    db.put('written meanwhile', String(done))
  })
  assert.ok(db.exists('written meanwhile'))
})

test('progress must be a function', (context) => {
  const db = database(context)
  for (const progress of [5, null, 'text', {}]) {
    assert.match(thrown(INVALID, () => db.compact(progress)).message, /progress must be a function/)
  }
})

test('verify counts what it has looked at', (context) => {
  const db = database(context)
  for (const key of KEYS) db.put(key, 'value')
  const found = db.verify()
  assert.deepEqual(Object.keys(found), ['segments', 'records', 'keys', 'countsCompared', 'violations'])
  assert.equal(found.keys, KEYS.length)
  assert.ok(found.records >= KEYS.length && found.segments >= 1)
})

test('verify tells the place of damage', (context) => {
  const db = database(context, { append: 'write' })
  for (const key of KEYS) db.put(key, 'the value of it')
  db.flushSync()
  const names = readdirSync(db.path).filter((name) => name.endsWith('.segment'))
  const name = names.find((name) => readFileSync(join(db.path, name)).includes('the value of it'))
  const contents = readFileSync(join(db.path, name))
  const at = contents.indexOf('the value of it', contents.lastIndexOf('the value of it') / 2)
  contents[at] ^= 1
  writeFileSync(join(db.path, name), contents, { flag: 'r+' })
  const { violations } = db.verify()
  assert.ok(violations.length > 0)
  const serial = Number.parseInt(name, 16)
  assert.ok(violations.some(({ segment, offset }) => segment === serial && offset > 0 && offset <= at))
  for (const violation of violations) {
    assert.deepEqual(Object.keys(violation), ['segment', 'offset', 'reason'])
    assert.ok(violation.reason.length > 0)
  }
})

test('a backup is a database of its own', (context) => {
  const place = directory(context)
  const db = wear(database(context, SETTINGS))
  const made = db.backup(join(place, 'deep', 'first'))
  assert.equal(made.sequence, db.stats().lastSequence)
  assert.ok(made.segmentsLinked + made.segmentsCopied > 0)
  assert.equal(typeof made.bytesCopied, 'number')
  db.put('later', 'value')
  const backup = open(join(place, 'deep', 'first'), SETTINGS)
  check(backup)
  backup.put('of the backup', 'value')
  assert.equal(db.get('of the backup'), undefined)
  backup.close()
  db.backup(pathToFileURL(join(place, 'second')))
  assert.ok(existsSync(join(place, 'second')))
})

test('a backup needs an empty directory outside', (context) => {
  const place = directory(context)
  const db = wear(database(context, SETTINGS))
  for (const path of [db.path, join(db.path, 'inside'), '', 5]) thrown(INVALID, () => db.backup(path))
  db.backup(place)
  assert.match(thrown(INVALID, () => db.backup(place)).message, /not empty/)
})

test('a closed database does none of it', (context) => {
  const db = database(context)
  db.close()
  for (const call of [() => db.compact(), () => db.compact(() => true), () => db.verify(), () => db.backup('/x')]) {
    thrown('OPENDB_CLOSED', call)
  }
})

test('what is only readable is verified and not compacted', (context) => {
  const path = directory(context)
  wear(open(path, SETTINGS)).close()
  const db = open(path, { readDamaged: true })
  assert.deepEqual(db.verify().violations, [])
  thrown('OPENDB_READ_ONLY', () => db.compact())
  db.close()
})

test('a worker that is ended in its progress leaves the database whole', async (context) => {
  const db = wear(database(context, SETTINGS))
  const library = new URL('../index.mjs', import.meta.url).href
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { open } from ${JSON.stringify(library)}
    open(workerData.path, workerData.settings).compact(() => {
      parentPort.postMessage('compacting')
      for (;;);
    })`
  const module = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const worker = new Worker(module, { workerData: { path: db.path, settings: SETTINGS } })
  await new Promise((resolve) => worker.once('message', resolve))
  await worker.terminate()
  db.compact()
  check(db)
})

test('salvage brings over what can be read', (context) => {
  const [damaged, place] = [directory(context), directory(context)]
  const db = wear(open(damaged, SETTINGS))
  thrown('OPENDB_LOCKED', () => OpenDB.salvage(damaged, join(place, 'early')))
  db.close()
  rmSync(join(damaged, 'MANIFEST'))
  const done = OpenDB.salvage(damaged, join(place, 'new'))
  assert.deepEqual([done.keys, done.keyspaces, Array.isArray(done.lost)], [KEYS.length / 2, 1, true])
  const salvaged = open(join(place, 'new'))
  check(salvaged)
  salvaged.close()
  thrown(INVALID, () => OpenDB.salvage(damaged, join(place, 'new')))
  thrown('OPENDB_IO', () => OpenDB.salvage(join(place, 'nowhere'), join(place, 'other')))
  thrown(INVALID, () => OpenDB.salvage(5, place))
})
