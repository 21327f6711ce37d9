// The driver under the storage of unstorage, which publishes no suite for its drivers.

import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { open } from 'opendb'
import openDBDriver from 'opendb/unstorage'
import { createStorage, restoreSnapshot, snapshot } from 'unstorage'

const directory = () => mkdtempSync(join(tmpdir(), 'opendb-unstorage-'))

test('items of every kind', async () => {
  const storage = createStorage({ driver: openDBDriver({ base: directory() }) })
  assert.equal(await storage.getItem('absent'), null)
  assert.equal(await storage.getItemRaw('absent'), null)
  assert.equal(await storage.hasItem('text'), false)
  await storage.setItem('text', 'value')
  await storage.setItem('number', 42)
  await storage.setItem('deep:object', { nested: [1, null, 'two'] })
  await storage.setItemRaw('bytes', Buffer.from([0, 255, 1]))
  assert.equal(await storage.getItem('text'), 'value')
  assert.equal(await storage.getItem('number'), 42)
  assert.deepEqual(await storage.getItem('deep:object'), { nested: [1, null, 'two'] })
  assert.deepEqual(await storage.getItemRaw('bytes'), Buffer.from([0, 255, 1]))
  assert.equal((await storage.getMeta('text')).size, 5)
  await storage.removeItem('text')
  assert.equal(await storage.hasItem('text'), false)
  await storage.dispose()
})

test('keys, depths, prefixes and many at once', async () => {
  const driver = openDBDriver({ base: directory(), keyspace: 'items' })
  const storage = createStorage({ driver })
  await storage.setItems([{ key: 'a', value: '1' }, { key: 'b:c', value: '2' }, { key: 'b:d:e', value: '3' }])
  assert.deepEqual(await storage.getKeys(), ['a', 'b:c', 'b:d:e'])
  assert.deepEqual(await storage.getKeys('b'), ['b:c', 'b:d:e'])
  assert.deepEqual(await storage.getKeys('', { maxDepth: 1 }), ['a', 'b:c'])
  const found = await storage.getItems(['b:c', 'absent', 'a'])
  assert.deepEqual(found.map(({ value }) => value), [2, null, 1])
  driver.clear('b:')
  assert.deepEqual(await storage.getKeys(), ['a'])
  await storage.clear()
  assert.deepEqual(await storage.getKeys(), [])
  await storage.dispose()
})

test('a snapshot comes back, mounted beside others', async () => {
  const storage = createStorage()
  storage.mount('cache', openDBDriver({ base: directory() }))
  await storage.setItem('cache:one', 'x')
  await storage.setItem('other', 'y')
  const kept = await snapshot(storage, 'cache')
  await storage.clear('cache')
  assert.deepEqual(await storage.getKeys('cache'), [])
  await restoreSnapshot(storage, kept, 'cache')
  assert.equal(await storage.getItem('cache:one'), 'x')
  await storage.dispose()
})

test('a database that is given stays open', async () => {
  const database = open(directory())
  const storage = createStorage({ driver: openDBDriver({ database, keyspace: 'items' }) })
  await storage.setItem('key', 'value')
  await storage.dispose()
  assert.equal(database.keyspace('items').getString('key'), 'value')
  database.close()
})

test('a driver without a place', () => {
  assert.throws(() => openDBDriver({}), /needs the option base/)
})
