// OpenDB beside the stores that a Node.js program would otherwise use. `cargo xtask bench --node` builds the package,
// installs the others and makes tables of what this prints: one line of JSON about the run, then one for each row of each
// store in each round.
//
// Stores take turns in an order of chance, each in a process of its own, so that neither the memory nor the compiled
// code that one has left is another's. Every answer is checked.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Entries, Random } from './entries.mjs'
import { GROUPS, Run } from './scenes.mjs'
import { IDS, kinds } from './stores.mjs'

const FORMAT = 1
const OUTPUT_BYTES_MAX = 2 ** 26
const HELP = `OpenDB beside the stores that a Node.js program would otherwise use.

  --keys N           how many keys are loaded (1,000,000)
  --value-bytes N    length of a value in bytes, at least 24 (100)
  --rounds N         each measures every store once, in a shuffled order (3)
  --seconds S        for how long a row is measured at most, in each round (5)
  --seed N           start of the random numbers (1)
  --stores A,B       of ${IDS.join(', ')}; all otherwise
  --only A,B         of ${Object.keys(GROUPS).join(', ')}; all otherwise
  --quick            fewer keys and less time, for a first look within minutes
  --directory D      in which the stores put their files (target/bench)
  --opendb D         the package that is measured (that of the checkout)`

const OPTIONS = {
  keys: { type: 'string' },
  'value-bytes': { type: 'string', default: '100' },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string' },
  seed: { type: 'string', default: '1' },
  stores: { type: 'string', default: IDS.join(',') },
  only: { type: 'string', default: Object.keys(GROUPS).join(',') },
  quick: { type: 'boolean', default: false },
  directory: { type: 'string', default: 'target/bench' },
  opendb: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
  // What a process is started with that measures one store once.
  round: { type: 'string' },
  help: { type: 'boolean', default: false },
}

const say = (line) => console.log(JSON.stringify(line))

function parse() {
  const { values } = parseArgs({ options: OPTIONS })
  const [keys, seconds] = values.quick ? [100_000, 0.2] : [1_000_000, 5]
  return {
    help: values.help,
    keys: whole(values.keys ?? keys, '--keys', 1),
    valueBytes: whole(values['value-bytes'], '--value-bytes', 24),
    rounds: whole(values.rounds, '--rounds', 1),
    seconds: Number(values.seconds ?? seconds),
    seed: whole(values.seed, '--seed', 0),
    stores: known(values.stores, IDS),
    groups: known(values.only, Object.keys(GROUPS)),
    directory: resolve(values.directory),
    opendb: resolve(values.opendb),
    round: values.round === undefined ? undefined : whole(values.round, '--round', 1),
  }
}

function whole(text, name, least) {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new Error(`${name} must be a whole number from ${least} on`)
}

function known(text, names) {
  const unknown = text.split(',').find((name) => !names.includes(name))
  if (unknown === undefined) return text.split(',')
  throw new Error(`there is no ${unknown}; there are ${names.join(', ')}`)
}

async function measureAll(plan) {
  const [present, missing] = [[], []]
  for (const kind of kinds(plan.stores, plan.opendb)) {
    const reason = await kind.missing()
    if (reason === undefined) present.push(kind)
    else missing.push({ name: kind.name, reason })
  }
  say(head(plan, present, missing))
  const random = new Random(`order ${plan.seed}`)
  for (let round = 1; round <= plan.rounds; round++) {
    random.shuffle(present)
    for (const kind of present) {
      console.error(`round ${round} of ${plan.rounds}: ${kind.name}`)
      measureElsewhere(plan, kind, round)
    }
  }
}

function head(plan, present, missing) {
  return {
    format: FORMAT,
    language: 'node',
    keys: plan.keys,
    value_bytes: plan.valueBytes,
    seed: plan.seed,
    rounds: plan.rounds,
    seconds_per_row: plan.seconds,
    rows: plan.groups.flatMap((group) => GROUPS[group]),
    stores: present.map((kind) => kind.profile()),
    not_available: missing,
  }
}

/** Measures a store in another process. What that one did not come to has failed. */
function measureElsewhere(plan, kind, round) {
  const { keys, seed, seconds, directory, opendb } = plan
  const settings = { round, stores: kind.id, only: plan.groups.join(','), keys, seed, seconds, directory, opendb }
  settings['value-bytes'] = plan.valueBytes
  const given = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const ended = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...given], {
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const samples = ended.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  const seen = new Set(samples.map(({ row }) => row))
  samples.forEach(say)
  const failed = `its process ended with ${ended.signal ?? ended.status}`
  for (const row of plan.groups.flatMap((group) => GROUPS[group])) {
    if (!seen.has(row)) say({ store: kind.id, row, round, details: {}, failed })
  }
}

async function measureHere(plan) {
  const entries = new Entries(plan.keys, plan.valueBytes, plan.seed)
  const [kind] = kinds(plan.stores, plan.opendb)
  for await (const sample of new Run({ ...plan, entries }, kind, plan.round).samples()) say(sample)
}

const plan = parse()
if (plan.help) {
  console.log(HELP)
} else {
  mkdirSync(plan.directory, { recursive: true })
  await (plan.round === undefined ? measureAll(plan) : measureHere(plan))
}
