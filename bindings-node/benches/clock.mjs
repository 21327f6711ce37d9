// How long calls take.

// Calls that are made in one loop of the store's own, so that no call of ours stands between them.
const CALLS_PER_BLOCK = 64
// One block in so many is timed call by call; of the others only the whole is, since looking at the clock takes as long
// as a part of a get.
const BLOCKS_PER_TIMED = 8
const NANOSECONDS = 1e6

/** What was timed of a row. */
class Clock {
  calls = 0
  #wanted
  #each = []
  #inBlocks = 0
  #blockNanoseconds = 0

  constructor(wanted) {
    this.#wanted = wanted
  }

  /** Times one call. Only what gives a promise is waited for, so that the others need not wait for a turn. */
  async time(call) {
    const begin = performance.now()
    let result = call()
    if (result instanceof Promise) result = await result
    this.#each.push((performance.now() - begin) * NANOSECONDS)
    this.calls += 1
    return result
  }

  async timeBlock(calls, call) {
    const begin = performance.now()
    let result = call()
    if (result instanceof Promise) result = await result
    this.#blockNanoseconds += (performance.now() - begin) * NANOSECONDS
    this.#inBlocks += calls
    this.calls += calls
    return result
  }

  /** The numbers of a line: nanoseconds a call. */
  timing() {
    const each = Float64Array.from(this.#each).sort()
    const quantile = (part) => Math.round(each[Math.min(Math.floor(each.length * part), each.length - 1)] ?? 0)
    const mean = each.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / Math.max(each.length, 1)
    return {
      calls: this.calls,
      complete: this.calls >= this.#wanted,
      mean: this.#inBlocks > 0 ? this.#blockNanoseconds / this.#inBlocks : mean,
      p50: quantile(0.5),
      p99: quantile(0.99),
      'p99.9': quantile(0.999),
      slowest: quantile(1),
    }
  }
}

/**
 * Runs `step` with the number of each call; what it times of it counts. A budget is so many calls, or as many as there is
 * time for.
 */
export async function each(budget, step) {
  const clock = new Clock(budget.calls)
  const end = performance.now() + budget.seconds * 1000
  for (let call = 0; call < budget.calls && performance.now() <= end; call++) await step(call, clock)
  return clock
}

/**
 * Times quick calls. `draw` gives the arguments of the calls from a number on, `callEach` makes a call with each of
 * them, and `check` sees what came of it; only `callEach` is timed.
 */
export async function blocks(budget, draw, callEach, check) {
  const clock = new Clock(budget.calls)
  const end = performance.now() + budget.seconds * 1000
  for (let block = 0; clock.calls < budget.calls && performance.now() <= end; block++) {
    const drawn = draw(clock.calls, Math.min(CALLS_PER_BLOCK, budget.calls - clock.calls))
    if (block % BLOCKS_PER_TIMED === 0) {
      for (const one of drawn) check([one], await clock.time(() => callEach([one.argument])))
    } else {
      const given = drawn.map(({ argument }) => argument)
      check(drawn, await clock.timeBlock(given.length, () => callEach(given)))
    }
  }
  return clock
}
