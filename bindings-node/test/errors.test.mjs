import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { OpenDBError } from 'opendb'
import { database, rejected, thrown } from './helper.mjs'

const require = createRequire(import.meta.url)
const { native } = require('../lib/error.cjs')

/** Every kind of the core with its number, and whether the work may be tried again. */
const expected = [
  ['OPENDB_STORAGE', 1, false],
  ['OPENDB_CACHE', 2, false],
  ['OPENDB_TRANSACTION', 3, true],
  ['OPENDB_CORRUPTION', 4, false],
  ['OPENDB_INVALID_ARGUMENT', 5, false],
  ['OPENDB_KEYSPACE_NOT_FOUND', 6, false],
  ['OPENDB_LOCKED', 7, true],
  ['OPENDB_CLOSED', 8, false],
  ['OPENDB_READ_ONLY', 9, false],
  ['OPENDB_NO_SPACE', 10, false],
  ['OPENDB_IO', 11, false],
  ['OPENDB_POISONED', 12, false],
  ['OPENDB_UNSUPPORTED', 13, false],
  ['OPENDB_FORKED', 14, false],
  ['OPENDB_INTERNAL', 15, false],
]

test('every kind of the core is known here, one to one', () => {
  const listed = native.errorKinds().map(({ code, kind }) => [code, kind])
  assert.deepEqual(listed, expected.map(([code, kind]) => [code, kind]))
})

for (const [code, kind, retryable] of expected) {
  test(`${code} arrives with all it says`, async () => {
    for (const error of [
      thrown(code, () => native.errorRaise(kind)),
      await rejected(code, native.errorRaiseAsync(kind)),
    ]) {
      assert.ok(error instanceof Error)
      assert.equal(error.name, 'OpenDBError')
      assert.equal(error.kind, kind)
      assert.equal(error.retryable, retryable)
      assert.ok(error.message.length > 10)
      assert.match(error.stack, /^OpenDBError: /)
      assert.equal(error.segment, code === 'OPENDB_CORRUPTION' ? 7 : undefined)
      assert.equal(error.offset, code === 'OPENDB_CORRUPTION' ? 4096 : undefined)
      assert.equal('segment' in error, code === 'OPENDB_CORRUPTION')
    }
  })
}

test('a panic is an error, on this thread and on the pool', async () => {
  const panics = `
    const { native } = require(${JSON.stringify(fileURLToPath(new URL('../lib/error.cjs', import.meta.url)))})
    const tell = (error) => console.log(error.name, error.code, error.kind, error.message)
    try { native.errorRaise(0) } catch (error) { tell(error) }
    native.errorRaiseAsync(0).catch(tell)`
  // In a process of its own, since a panic that is not caught ends the process.
  const { status, stdout } = spawnSync(process.execPath, ['-e', panics], { encoding: 'utf8' })
  const line = 'OpenDBError OPENDB_INTERNAL 15 internal error, please report it: a panic on demand'
  assert.equal(stdout, `${line}\n${line}\n`)
  assert.equal(status, 0)
})

test('errors can be told apart by class and code', (context) => {
  const db = database(context)
  const transaction = db.beginTransaction()
  try {
    transaction.get('nowhere', 'key')
    assert.fail('a missing keyspace was found')
  } catch (error) {
    assert.ok(error instanceof OpenDBError)
    assert.equal(error.code, 'OPENDB_KEYSPACE_NOT_FOUND')
    assert.match(error.message, /"nowhere"/)
  }
})
