import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { open } from 'opendb'
import { database, directory } from './helper.mjs'

const library = new URL('../index.mjs', import.meta.url).href

/** Runs a piece of code in a process of its own, with `open` and `path` there, and returns what it printed. */
function inProcess(path, code) {
  const script = `
    import { open } from ${JSON.stringify(library)}
    const path = process.argv[1]
    ${code}`
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script, path], { encoding: 'utf8' })
  assert.equal(result.stderr, '')
  return result.stdout
}

test('what one process wrote, another one reads', (context) => {
  const path = directory(context)
  inProcess(path, `
    const db = open(path)
    db.put('closed', '1')
    db.close()`)
  inProcess(path, `
    const db = open(path)
    db.put('left open', '2')
    process.kill(process.pid, 'SIGKILL')`)
  const db = open(path)
  assert.equal(db.getString('closed'), '1')
  assert.equal(db.getString('left open'), '2')
  db.close()
})

test('a directory that is open elsewhere is locked, until it is closed there', (context) => {
  const db = database(context)
  const attempt = `
    try {
      open(path).close()
      console.log('opened')
    } catch (error) {
      console.log(error.name, error.code, error.retryable)
    }`
  assert.equal(inProcess(db.path, attempt), 'OpenDBError OPENDB_LOCKED true\n')
  db.close()
  assert.equal(inProcess(db.path, attempt), 'opened\n')
})
