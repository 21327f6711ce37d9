// `npx opendb`: that it is the program, with its output and exit codes. What each command does is tested with the program.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from 'opendb'
import { directory } from './helper.mjs'

const program = fileURLToPath(new URL('../bin/opendb.cjs', import.meta.url))

function run(words, input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { input, encoding: 'utf8' })
  return { status, stdout, stderr }
}

test('keys, values and exit codes', (context) => {
  const path = directory(context)
  assert.deepEqual(run(['put', path, 'user:1', 'Ada']), { status: 0, stdout: '', stderr: '' })
  assert.deepEqual(run(['put', path, 'user:2'], 'of\nlines'), { status: 0, stdout: '', stderr: '' })
  assert.deepEqual(run(['get', path, 'user:1']), { status: 0, stdout: 'Ada', stderr: '' })
  assert.deepEqual(run(['get', path, 'absent']), { status: 1, stdout: '', stderr: '' })
  assert.equal(run(['scan', path, '--prefix', 'user:']).stdout, 'user:1\tAda\nuser:2\tof\\nlines\n')
  assert.equal(JSON.parse(run(['stat', path, '--json']).stdout).keys, 2)
  assert.match(run(['fly']).stderr, /unrecognized subcommand/)
  assert.equal(run(['fly']).status, 2)
  const missing = run(['get', `${path}/missing`, 'key'])
  assert.equal(missing.status, 3)
  assert.match(missing.stderr, /^opendb: .*missing/)
  assert.match(run(['--help']).stdout, /Usage: npx opendb <COMMAND>/)
})

test('what is dumped comes back', (context) => {
  const [from, to] = [directory(context), directory(context)]
  const db = open(from)
  for (let key = 0; key < 2500; key += 1) db.put(String(key), Buffer.alloc(key % 50, key))
  db.keyspace('other').put('key', 'value')
  const dumped = run(['dump', from])
  assert.equal(dumped.stdout.split('\n').length, 2502)
  db.close()
  assert.match(run(['load', to], dumped.stdout).stderr, /2501 entries loaded/)
  assert.equal(run(['dump', to]).stdout, dumped.stdout)
})
