// The programs that the documentation prints, each run as a reader would, and the lines of the guide.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ClassicLevel } from 'classic-level'
import * as lmdb from 'lmdb'
import { open } from 'opendb'
import { directory, texts } from './helper.mjs'

const examples = fileURLToPath(new URL('../examples', import.meta.url))
const outputs = {
  quickstart: ['user:1 is Alice', 'user:1 = Alice', 'user:2 = Bob', 'visits: 1'],
  'session-store': ['ada bob undefined', 'ended 2 left 1 undefined', 'over undefined left 1'],
  'job-queue': ['done 20 different 20', "put back 1 claimed again { left: 'behind' }"],
  'api-cache': ['/users/1 requests 2', 'requests 4'],
}

function run(program, ...words) {
  const done = spawnSync(process.execPath, [program, ...words], { encoding: 'utf8' })
  assert.deepEqual([done.status, done.stderr], [0, ''])
  return done.stdout.trimEnd().split('\n')
}

for (const [name, output] of Object.entries(outputs)) {
  test(`the example ${name} prints what it should`, (context) => {
    const program = join(examples, `${name}.mjs`)
    assert.deepEqual(run(program), output)
    assert.deepEqual(run(program, join(directory(context), 'db')), output)
  })
}

test('every example is run', () => {
  const names = readdirSync(examples).map((name) => name.replace('.mjs', ''))
  assert.deepEqual(names.sort(), [...Object.keys(outputs), 'migrate'].sort())
})

test('entries of a Level database', async (context) => {
  const [from, to] = [directory(context), directory(context)]
  const old = new ClassicLevel(from)
  await old.batch(Array.from({ length: 1500 }, (_, at) => ({ type: 'put', key: String(at), value: `value ${at}` })))
  await old.sublevel('sub').put('key', 'below')
  await old.close()
  assert.deepEqual(run(join(examples, 'migrate.mjs'), 'level', from, to), ['1501 entries'])
  const db = open(to)
  assert.equal(db.size, 1501)
  assert.equal(db.getString('1234'), 'value 1234')
  assert.equal(db.getString('!sub!key'), 'below')
  db.close()
})

test('entries of an LMDB environment', async (context) => {
  const [from, to] = [directory(context), directory(context)]
  const old = lmdb.open({ path: from, encoding: 'binary', keyEncoding: 'binary' })
  await old.put(Buffer.from('a'), Buffer.from('1'))
  await old.put(Buffer.from([0, 255]), Buffer.from('2'))
  await old.close()
  assert.deepEqual(run(join(examples, 'migrate.mjs'), 'lmdb', from, to), ['2 entries'])
  const db = open(to)
  assert.deepEqual(texts(db.iter({ start: 'a' })), [['a', '1']])
  assert.equal(db.getString(Buffer.from([0, 255])), '2')
  db.close()
})

test('the lines of the guide run one after the other', (context) => {
  const guide = fileURLToPath(new URL('../../docs/node.md', import.meta.url))
  if (!existsSync(guide)) return context.skip('only the checkout has the guide')
  // What stands between markers is one of the examples above.
  const ownText = readFileSync(guide, 'utf8').replace(/<!-- file:[^]*?<!-- \/file -->/g, '')
  const programs = [...ownText.matchAll(/```js\n([^]*?)```/g)].map(([, program]) => program)
  assert.ok(programs.length > 6)
  // Beside the package, where a program finds it by its name.
  const program = fileURLToPath(new URL(`../guide-${process.pid}.mjs`, import.meta.url))
  context.after(() => rmSync(program, { force: true }))
  writeFileSync(program, programs.join('\n'))
  const done = spawnSync(process.execPath, [program], { cwd: directory(context), encoding: 'utf8' })
  assert.deepEqual([done.status, done.stderr], [0, ''])
})
