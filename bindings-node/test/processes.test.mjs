import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { open, openAsync } from 'opendb'
import { database, directory, rejected, thrown } from './helper.mjs'

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

test('an opening waits for another process as long as it was told', async (context) => {
  const path = directory(context)
  const code = `
    import { open } from ${JSON.stringify(library)}
    const db = open(process.argv[1])
    console.log('open')
    process.stdin.on('end', () => setTimeout(() => db.close(), 100)).resume()`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  const began = performance.now()
  thrown('OPENDB_LOCKED', () => open(path, { lockTimeout: 100 }))
  await rejected('OPENDB_LOCKED', openAsync(path, { lockTimeout: 100 }))
  assert.ok(performance.now() - began >= 200)
  holder.stdin.end()
  const db = await openAsync(path, { lockTimeout: 60_000 })
  db.put('key', 'value')
  db.close()
})

const READS_BESIDE = `
import { open } from ${JSON.stringify(library)}
const db = open(process.argv[1], { readOnly: true })
import { createInterface } from 'node:readline'
for await (const line of createInterface({ input: process.stdin })) {
  await db.refresh()
  console.log(db.size, db.getString(line))
}
const calls = [() => db.put('key', 'value'), () => db.delete('key'), () => db.flushSync(), () => db.compact()]
console.log(calls.map((call) => { try { call() } catch (error) { return error.code } }).join(' '))
try { open(process.argv[1]) } catch (error) { console.log(error.code) }
`

test('a second process reads while the first one writes', async (context) => {
  const path = directory(context)
  const db = open(path)
  const reader = spawn(process.execPath, ['--input-type=module', '-e', READS_BESIDE, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]()
  for (let number = 0; number < 100; number++) {
    db.put(`key ${number}`, `value ${number}`)
    reader.stdin.write(`key ${number}\n`)
    assert.equal((await lines.next()).value, `${number + 1} value ${number}`)
    if (number % 40 === 39) db.compact()
  }
  reader.stdin.end()
  assert.equal((await lines.next()).value, 'OPENDB_READ_ONLY OPENDB_READ_ONLY OPENDB_READ_ONLY OPENDB_READ_ONLY')
  assert.equal((await lines.next()).value, 'OPENDB_LOCKED')
  db.close()
})
