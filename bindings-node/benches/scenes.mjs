// What is done with a store, in two scenes that each begin with an empty one.

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { blocks, each } from './clock.mjs'
import { Random } from './entries.mjs'

const ENTRIES_PER_BATCH = 1000
// How many entries, and how many scans of them at most.
const SCANS = [
  [10, 100_000],
  [1000, 10_000],
]
// Puts get so many times the time of other rows: what they have not put is loaded without being measured, and a half
// empty store would flatter.
const PUT_TIMES = 10

/** What is measured: the names are those of the Rust benchmark. */
export const GROUPS = {
  put: ['put-random'],
  get: ['get-uniform', 'get-absent'],
  overwrite: ['overwrite'],
  batch: ['batch'],
  scan: ['fresh', 'settled'].flatMap((moment) => SCANS.map(([length]) => `scan-${length}-iterated-${moment}`)),
}

/** An error where a store has lost or changed something. */
function expect(found, wanted, what) {
  const same = (one, other) => (other === undefined ? one === undefined : one !== undefined && other.equals(one))
  if (found.length === wanted.length && wanted.every((value, place) => same(found[place], value))) return
  throw new Error(`${what} gave something else than what was put`)
}

/** One round of one store. */
export class Run {
  #plan
  #kind
  #round
  #entries

  constructor(plan, kind, round) {
    this.#plan = plan
    this.#kind = kind
    this.#round = round
    this.#entries = plan.entries
  }

  async *samples() {
    const points = (store) => this.#points(store)
    const scans = (store) => this.#scans(store)
    for (const [groups, scene] of [
      [['put', 'get', 'overwrite', 'batch'], points],
      [['scan'], scans],
    ]) {
      const rows = groups.filter((group) => this.#plan.groups.includes(group)).flatMap((group) => GROUPS[group])
      const lacking = rows.filter((row) => this.#kind.lacks(row) !== undefined)
      for (const row of lacking) yield this.#sample(row, { lacks: this.#kind.lacks(row) })
      yield* this.#measure(rows.filter((row) => !lacking.includes(row)), scene)
    }
  }

  /** The samples of a scene. Where the store fails, the rows that it has not come to have failed. */
  async *#measure(rows, scene) {
    const missing = new Set(rows)
    let failure = 'it was not measured'
    try {
      if (missing.size > 0) {
        for await (const [row, clock] of this.#open(scene)) {
          missing.delete(row)
          yield this.#sample(row, clock.timing())
        }
      }
    } catch (error) {
      failure = String(error)
    }
    for (const row of missing) yield this.#sample(row, { failed: failure })
  }

  #sample(row, outcome) {
    return { store: this.#kind.id, row, round: this.#round, details: {}, ...outcome }
  }

  /** Opens the store in a directory of its own, which is deleted afterwards. */
  async *#open(scene) {
    const directory = mkdtempSync(join(this.#plan.directory, `${this.#kind.id}-`))
    try {
      const store = await this.#kind.open(join(directory, 'db'))
      try {
        yield* scene(store)
      } finally {
        await store.close()
      }
    } finally {
      rmSync(directory, { recursive: true })
    }
  }

  #budget(calls, times = 1) {
    return { calls: Math.max(calls, 1), seconds: this.#plan.seconds * times }
  }

  /** Draws for a row, the same for every store. */
  #random(row) {
    return new Random(`${this.#plan.seed} ${this.#round} ${row}`)
  }

  async *#points(store) {
    const wants = (group) => this.#plan.groups.includes(group)
    let loaded = 0
    if (wants('put')) {
      const clock = await this.#puts(store)
      loaded = clock.calls
      yield ['put-random', clock]
    }
    await this.#load(store, loaded)
    if (wants('get')) {
      yield ['get-uniform', await this.#gets(store)]
      yield ['get-absent', await this.#absentGets(store)]
    }
    if (wants('overwrite')) yield ['overwrite', await this.#overwrites(store)]
    if (wants('batch')) yield ['batch', await this.#batches(store)]
  }

  async #load(store, begin) {
    for (let first = begin; first < this.#entries.count; first += ENTRIES_PER_BATCH) {
      await store.batch(this.#some(first, Math.min(first + ENTRIES_PER_BATCH, this.#entries.count)))
    }
  }

  #some(begin, end) {
    return Array.from({ length: end - begin }, (_, place) => this.#entries.entry(begin + place))
  }

  async #puts(store) {
    const draw = (call, count) => this.#some(call, call + count).map((argument) => ({ argument }))
    const budget = this.#budget(this.#entries.count, PUT_TIMES)
    const clock = await blocks(budget, draw, (entries) => store.putEach(entries), () => {})
    await this.#check(store, 0, clock.calls, () => 0)
    return clock
  }

  #gets(store) {
    const random = this.#random('get-uniform')
    const draw = (_, count) =>
      Array.from({ length: count }, () => {
        const number = random.below(this.#entries.count)
        return { argument: this.#entries.key(number), number }
      })
    const check = (drawn, found) => expect(found, drawn.map(({ number }) => this.#entries.value(number, 0)), 'a get')
    return blocks(this.#budget(this.#entries.count), draw, (keys) => store.getEach(keys), check)
  }

  #absentGets(store) {
    const random = this.#random('get-absent')
    const draw = (_, count) =>
      Array.from({ length: count }, () => ({ argument: this.#entries.absent(random.below(this.#entries.count)) }))
    const check = (drawn, found) => expect(found, drawn.map(() => undefined), 'a get of an absent key')
    return blocks(this.#budget(this.#entries.count), draw, (keys) => store.getEach(keys), check)
  }

  async #overwrites(store) {
    const [random, versions] = [this.#random('overwrite'), new Uint32Array(this.#entries.count)]
    const draw = (call, count) =>
      Array.from({ length: count }, (_, place) => {
        const number = random.below(this.#entries.count)
        versions[number] = call + place + 1
        return { argument: this.#entries.entry(number, versions[number]) }
      })
    const clock = await blocks(this.#budget(this.#entries.count), draw, (entries) => store.putEach(entries), () => {})
    await this.#check(store, 0, this.#entries.count, (number) => versions[number])
    return clock
  }

  async #batches(store) {
    const begin = this.#entries.count
    const clock = await each(this.#budget(Math.floor(begin / ENTRIES_PER_BATCH)), async (call, clock) => {
      const first = begin + call * ENTRIES_PER_BATCH
      const entries = this.#some(first, first + ENTRIES_PER_BATCH)
      await clock.time(() => store.batch(entries))
    })
    await this.#check(store, begin, begin + clock.calls * ENTRIES_PER_BATCH, () => 0)
    return clock
  }

  /** Reads everything that was written. */
  async #check(store, begin, end, version) {
    for (let first = begin; first < end; first += ENTRIES_PER_BATCH) {
      const numbers = Array.from({ length: Math.min(ENTRIES_PER_BATCH, end - first) }, (_, place) => first + place)
      const found = await store.getEach(numbers.map((number) => this.#entries.key(number)))
      expect(found, numbers.map((number) => this.#entries.value(number, version(number))), 'a get after the writes')
    }
  }

  async *#scans(store) {
    await this.#load(store, 0)
    const order = this.#entries.inOrder()
    yield* this.#scansAt(store, order, 'fresh')
    await store.settle()
    yield* this.#scansAt(store, order, 'settled')
  }

  async *#scansAt(store, order, moment) {
    for (const [length, scans] of SCANS) {
      const row = `scan-${length}-iterated-${moment}`
      const random = this.#random(row)
      // Not nearer to the end than the scan is long, where there are enough entries.
      const places = Math.max(order.length - length, 1)
      const step = async (_, clock) => {
        const place = random.below(places)
        const wanted = order.slice(place, place + length).flatMap((number) => this.#entries.entry(number))
        const found = await clock.time(() => store.scan(wanted[0], length))
        expect(found, wanted, 'a scan')
      }
      yield [row, await each(this.#budget(scans), step)]
    }
  }
}
