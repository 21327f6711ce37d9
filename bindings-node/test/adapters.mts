// Compiled by `npm run types` and never run: the declarations of what plugs into other packages.

import Keyv from 'keyv'
import type { OpenDB } from 'opendb'
import KeyvOpenDB, { KeyvOpenDB as Store } from 'opendb/keyv'
import { OpenDBLevel } from 'opendb/level'
import openDBDriver from 'opendb/unstorage'
import { createStorage } from 'unstorage'

const level = new OpenDBLevel<string, { name: string }>('./db', {
  keyspace: 'users',
  opendb: { cacheBytes: 0 },
  valueEncoding: 'json',
})
await level.put('1', { name: 'Ada' }, { sync: true })
await level.batch([{ type: 'put', key: '2', value: { name: 'Bob' } }, { type: 'del', key: '3' }], { sync: true })
await level.del('1')
for await (const [key, value] of level.iterator({ gte: '1', reverse: true })) console.log(key, value.name)
const users = level.sublevel<string, number>('ages', { valueEncoding: 'json' })
await users.put('1', 36)
const below: OpenDB | undefined = level.opendb
console.log(level.location, below?.stats().keys)

const store: Store = new KeyvOpenDB('./cache', { keyspace: 'cache' })
const keyv = new Keyv({ store, namespace: 'users', ttl: 60_000 })
await keyv.set('1', { name: 'Ada' })
const removed: number = await store.deleteExpired()
console.log(removed)

const storage = createStorage({ driver: openDBDriver({ base: './items' }) })
await storage.setItem('key', 'value')
