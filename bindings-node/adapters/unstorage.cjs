'use strict'

const { OpenDB, open } = require('opendb')

const { removeKeys } = require('./remove.cjs')

/** A driver for unstorage, which calls this with the options of its user. */
function openDBDriver(options) {
  const { base, database: given, keyspace = 'default', opendb } = options ?? {}
  if (!(given instanceof OpenDB) && typeof base !== 'string') {
    throw new TypeError('the driver needs the option base, a directory, or database, one that is open')
  }
  let opened = given
  let entries

  /** Opened with the first use. */
  const store = () => {
    opened ??= open(base, opendb)
    entries ??= opened.keyspace(keyspace)
    return entries
  }

  return {
    name: 'opendb',
    options,
    flags: { maxDepth: true },
    getInstance: () => (store(), opened),
    hasItem: (key) => store().exists(key),
    getItem: (key) => store().getString(key) ?? null,
    getItems: (items) => {
      const values = store().getMany(items.map(({ key }) => key))
      return items.map(({ key }, at) => ({ key, value: values[at]?.toString() ?? null }))
    },
    getItemRaw: (key) => store().get(key) ?? null,
    getMeta: (key) => {
      const value = store().get(key)
      return value === undefined ? null : { size: value.length }
    },
    setItem: (key, value) => store().put(key, value),
    setItems: (items) => {
      store()
      const batch = opened.batch()
      for (const { key, value } of items) batch.put(keyspace, key, value)
      batch.commit()
    },
    setItemRaw: (key, value) => store().put(key, value),
    removeItem: (key) => store().delete(key),
    getKeys: (prefix, { maxDepth } = {}) => {
      const keys = []
      for (const key of store().keys({ prefix: prefix ?? '' })) keys.push(key.toString())
      // A depth of 0 is what stands in no directory.
      return maxDepth === undefined ? keys : keys.filter((key) => key.split(':').length <= maxDepth + 1)
    },
    clear: (prefix) => {
      const keys = store().keys({ prefix: prefix ?? '' })
      removeKeys(opened, keyspace, keys)
    },
    dispose: () => {
      // One that was given is its owner's.
      if (opened !== undefined && given === undefined) opened.close()
      opened = given
      entries = undefined
    },
  }
}

module.exports = { openDBDriver, default: openDBDriver }
