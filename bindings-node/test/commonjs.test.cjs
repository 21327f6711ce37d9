'use strict'

const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { test } = require('node:test')
const { open, OpenDB, OpenDBError } = require('opendb')

test('the package works from CommonJS', (context) => {
  const path = mkdtempSync(join(tmpdir(), 'opendb-'))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  const db = open(path)
  assert.ok(db instanceof OpenDB)
  db.put('user:1', 'Alice')
  db.put('user:2', 'Bob')
  assert.deepEqual(
    db.scanPrefix('user:').map(([key, value]) => `${key} = ${value}`),
    ['user:1 = Alice', 'user:2 = Bob'],
  )
  db.close()
  assert.throws(() => db.get('user:1'), OpenDBError)
})

test('CommonJS and ES modules share their classes', async () => {
  const imported = await import('opendb')
  assert.equal(imported.OpenDB, OpenDB)
  assert.equal(imported.default, require('opendb'))
})
