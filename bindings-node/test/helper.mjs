import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, OpenDBError } from 'opendb'

/** A directory that is gone when the test is over. */
export function directory(context) {
  const path = mkdtempSync(join(tmpdir(), 'opendb-'))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** An empty database that is closed when the test is over. */
export function database(context, options) {
  const path = directory(context)
  const db = open(path, options)
  context.after(() => db.close())
  return db
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

/** Keys and values as text. */
export function texts(entries) {
  return Array.from(entries, ([key, value]) => [String(key), String(value)])
}

function checkError(error, code) {
  assert.ok(error instanceof OpenDBError, `expected an OpenDBError, got ${error}`)
  assert.equal(error.code, code, error.message)
}
