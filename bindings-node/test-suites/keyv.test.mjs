// What the suite of Keyv does not look at.

import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Keyv from 'keyv'
import { open } from 'opendb'
import { KeyvOpenDB } from 'opendb/keyv'

const directory = () => mkdtempSync(join(tmpdir(), 'opendb-keyv-'))

test('what is over is not given out, and goes when it is asked to', async () => {
  const store = new KeyvOpenDB(directory())
  await store.set('short', 'a', 1)
  await store.setMany([{ key: 'long', value: 'b', ttl: 60_000 }, { key: 'for ever', value: 'c' }])
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(await store.get('short'), undefined)
  assert.deepEqual(await store.getMany(['short', 'long', 'absent', 'for ever']), [undefined, 'b', undefined, 'c'])
  assert.deepEqual(await store.hasMany(['short', 'long']), [false, true])
  assert.equal(await store.deleteExpired(), 1)
  assert.equal(await store.deleteExpired(), 0)
  assert.equal(await store.deleteMany(['long', 'absent']), true)
  assert.equal(await store.deleteMany(['long', 'absent']), false)
  await store.disconnect()
})

test('values stay over a close, in a keyspace of a database that has others', async () => {
  const path = directory()
  const database = open(path)
  const keyv = new Keyv({ store: new KeyvOpenDB(database, { keyspace: 'cache' }), namespace: 'users' })
  await keyv.set('1', { name: 'Ada' })
  database.put('1', 'of somebody else')
  await keyv.disconnect()
  assert.equal(database.keyspace('cache').size, 1, 'a database that was given stays open')
  database.close()

  const again = new Keyv({ store: new KeyvOpenDB(path, { keyspace: 'cache' }), namespace: 'users' })
  assert.deepEqual(await again.get('1'), { name: 'Ada' })
  await again.clear()
  assert.equal(await again.get('1'), undefined)
  await again.disconnect()
})

test('what goes wrong is told by Keyv', async () => {
  const store = new KeyvOpenDB(directory())
  const keyv = new Keyv({ store })
  const errors = []
  keyv.on('error', (error) => errors.push(error.code))
  await keyv.disconnect()
  await keyv.set('key', 'value')
  assert.deepEqual(errors, ['OPENDB_CLOSED'])
})
