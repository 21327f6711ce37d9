// The suite that abstract-level publishes for what implements it, run by node:test through the few calls of tape that it makes.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import suite from 'abstract-level/test/index.js'
import { OpenDBLevel } from 'opendb/level'
import test from 'tape'

const directories = mkdtempSync(join(tmpdir(), 'opendb-level-'))
process.on('exit', () => rmSync(directories, { recursive: true }))
let made = 0
const location = () => join(directories, String((made += 1)))

suite({ test, factory: (options) => new OpenDBLevel(location(), options) })

// The same in a keyspace of its own.
suite({ test, factory: (options) => new OpenDBLevel(location(), { ...options, keyspace: 'level' }) })

test('a keyspace of a database that has others, and its own calls', async (t) => {
  const path = location()
  const level = new OpenDBLevel(path, { keyspace: 'level', valueEncoding: 'json' })
  await level.put('a', { deep: [1] }, { sync: true })
  await level.batch([{ type: 'put', key: 'b', value: 2 }, { type: 'del', key: 'c' }], { sync: true })
  level.opendb.put('a', 'of somebody else')
  t.same(await level.get('a'), { deep: [1] })
  t.same(level.opendb.keyspaces(), ['default', 'level'])
  t.is(level.location, path)
  await level.del('a', { sync: true })
  t.same(await level.keys().all(), ['b'])
  await level.close()
})

test('a directory that another writes to', async (t) => {
  const level = new OpenDBLevel(location(), { opendb: { readOnly: true } })
  try {
    await level.open()
    t.fail('there is nothing to read')
  } catch (error) {
    t.is(error.code, 'LEVEL_DATABASE_NOT_OPEN')
    t.is(error.cause.code, 'OPENDB_IO')
  }
})
