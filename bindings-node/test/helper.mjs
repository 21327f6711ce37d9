import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, OpenDBError } from 'opendb'

/** A directory that is gone when the test is over. */
export function directory(context) {
  const path = newDirectory()
  context.after(() => removeDirectory(path))
  return path
}

/** An empty database that is closed when the test is over, and its directory gone after that. */
export function database(context, options) {
  const path = newDirectory()
  const db = open(path, options)
  context.after(() => {
    db.close()
    removeDirectory(path)
  })
  return db
}

function newDirectory() {
  return mkdtempSync(join(tmpdir(), 'opendb-'))
}

function removeDirectory(path) {
  rmSync(path, { recursive: true, force: true })
}

/** Asserts that a call throws an error of the package with this code, and returns the error. */
export function thrown(code, call) {
  let error
  try {
    call()
  } catch (caught) {
    error = caught
  }
  checkError(error, code)
  return error
}

/** The same for a promise that rejects. */
export async function rejected(code, promise) {
  const error = await promise.then(
    () => undefined,
    (caught) => caught,
  )
  checkError(error, code)
  return error
}

/** Collects garbage until a condition holds, or fails after some rounds. */
export async function collected(condition, what) {
  for (let round = 0; round < 100; round++) {
    // Looking at a weak reference holds its object until the end of the job, so the garbage is collected in the next.
    await new Promise(setImmediate)
    globalThis.gc()
    await new Promise(setImmediate)
    if (condition()) return
  }
  assert.fail(`${what} was not collected`)
}

/** Keys and values as text. */
export function texts(entries) {
  return Array.from(entries, ([key, value]) => [String(key), String(value)])
}

function checkError(error, code) {
  assert.ok(error instanceof OpenDBError, `expected an OpenDBError, got ${error}`)
  assert.equal(error.code, code, error.message)
}
