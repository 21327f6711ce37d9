// What is written, and what every answer must be. All of it is computed from numbers.

const KEY_BYTES_MAX = 24
const KEY_BYTES_MIN = 16
const POOL_BYTES = 1 << 20
// In front of a value: the words of its number and its version.
const HEAD_BYTES = 8
const ABSENT = 0x5eed
const GOLDEN = 0x9e3779b9

/** The last step of MurmurHash3: a bijection of 32 bits whose results look like chance. */
function mix(word) {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Numbers that look like chance and are the same in each run (Mulberry32). */
export class Random {
  #state

  constructor(text) {
    this.#state = [...text].reduce((mixed, letter) => mix(mixed + letter.codePointAt(0)), 1)
  }

  bits() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  below(bound) {
    return Math.floor((this.bits() / 2 ** 32) * bound)
  }

  shuffle(items) {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      ;[items[last], items[other]] = [items[other], items[last]]
    }
  }
}

/** Keys of 16 to 24 bytes whose order is chance, and values of one length that cannot be compressed. */
export class Entries {
  constructor(count, valueBytes, seed) {
    this.count = count
    this.valueBytes = valueBytes
    this.seed = mix(seed)
    const random = new Random(`pool ${seed}`)
    this.pool = Buffer.alloc(POOL_BYTES + valueBytes).map(() => random.bits())
    this.keys = Array.from({ length: count }, (_, number) => this.#make(number, this.seed))
  }

  key(number) {
    return number < this.count ? this.keys[number] : this.#make(number, this.seed)
  }

  /** A key that is never written. */
  absent(number) {
    return this.#make(number, mix(this.seed ^ ABSENT))
  }

  // No two numbers have the same first word, and keys of another seed have other words after it.
  #make(number, seed) {
    const bytes = Buffer.allocUnsafe(KEY_BYTES_MAX)
    let word = mix(number ^ seed)
    for (let place = 0; place < KEY_BYTES_MAX; place += 4) {
      bytes.writeUInt32LE(word, place)
      word = mix(word ^ mix(seed + GOLDEN))
    }
    return bytes.subarray(0, KEY_BYTES_MIN + (word % (KEY_BYTES_MAX - KEY_BYTES_MIN + 1)))
  }

  value(number, version) {
    const [first, second] = [mix(number), mix(version ^ GOLDEN)]
    const bytes = Buffer.allocUnsafe(this.valueBytes)
    bytes.writeUInt32LE(first, 0)
    bytes.writeUInt32LE(second, 4)
    const begin = mix(first ^ mix(second)) % POOL_BYTES
    this.pool.copy(bytes, HEAD_BYTES, begin, begin + this.valueBytes - HEAD_BYTES)
    return bytes
  }

  entry(number, version = 0) {
    return [this.key(number), this.value(number, version)]
  }

  /** The numbers of what is loaded, in the order of its keys. */
  inOrder() {
    const numbers = Array.from(this.keys, (_, number) => number)
    return numbers.sort((one, other) => Buffer.compare(this.keys[one], this.keys[other]))
  }
}
