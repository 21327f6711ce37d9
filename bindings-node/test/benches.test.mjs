// The runner of `cargo xtask bench --node`, at a size at which nothing that is measured means anything.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Entries } from '../benches/entries.mjs'
import { GROUPS, Run } from '../benches/scenes.mjs'
import { kinds } from '../benches/stores.mjs'
import { directory } from './helper.mjs'

const RUNNER = fileURLToPath(new URL('../benches/run.mjs', import.meta.url))
const ROWS = Object.values(GROUPS).flat()

test('every row comes out with nothing installed', (context) => {
  const sizes = ['--keys', '2000', '--rounds', '1', '--seconds', '0.02']
  const stores = ['--stores', 'opendb,map', '--directory', directory(context)]
  const ended = spawnSync(process.execPath, [RUNNER, ...sizes, ...stores], { encoding: 'utf8' })
  assert.equal(ended.status, 0, ended.stderr)
  const [head, ...samples] = ended.stdout.trim().split('\n').map((line) => JSON.parse(line))
  assert.deepEqual(head.rows, ROWS)
  assert.deepEqual(head.stores.map(({ id }) => id).sort(), ['map', 'opendb'])
  const of = (store) => samples.filter((sample) => sample.store === store)
  assert.deepEqual(of('opendb').map(({ row }) => row), ROWS)
  assert.ok(of('opendb').every(({ calls, mean }) => calls > 0 && mean > 0), ended.stdout)
  assert.ok(of('map').every(({ row, lacks, calls }) => (row.startsWith('scan') ? lacks === 'no order' : calls > 0)))
  assert.match(spawnSync(process.execPath, [RUNNER, '--stores', 'nobody'], { encoding: 'utf8' }).stderr, /no nobody/)
})

/** What comes of a map whose calls are changed by `spoil`. */
async function spoiled(context, spoil) {
  const [kind] = kinds(['map'], '')
  const open = kind.open.bind(kind)
  kind.open = async (path) => Object.assign(await open(path), spoil)
  kind.lacks = () => undefined
  const plan = { entries: new Entries(500, 100, 7), seconds: 0.02, seed: 7, groups: Object.keys(GROUPS) }
  const outcomes = new Map()
  for await (const { row, failed } of new Run({ ...plan, directory: directory(context) }, kind, 1).samples()) {
    outcomes.set(row, failed)
  }
  return outcomes
}

test('a wrong answer is found', async (context) => {
  const lost = await spoiled(context, { putEach: () => {} })
  assert.match(lost.get('put-random'), /a get after the writes gave something else/)
  const found = await spoiled(context, { getEach: (keys) => keys.map(() => Buffer.alloc(100)) })
  assert.match(found.get('get-absent'), /something else/)
  const scanned = await spoiled(context, { scan: () => [] })
  assert.equal(scanned.get('get-absent'), undefined)
  assert.match(scanned.get('scan-10-iterated-fresh'), /a scan gave something else/)
})
