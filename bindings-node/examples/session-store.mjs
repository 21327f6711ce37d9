// A session store: sessions outlive the process, end some time after their last use, and are found by their user.

import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'opendb'

export class Sessions {
  #db
  #sessions
  #milliseconds

  constructor(db, milliseconds = 30 * 60_000) {
    this.#db = db
    this.#sessions = db.keyspace('sessions')
    // Of whom which session is: the user and the session, to nothing.
    db.keyspace('of-user')
    this.#milliseconds = milliseconds
  }

  begin(user) {
    const id = randomBytes(16).toString('base64url')
    this.#db.writeBatch([
      { type: 'put', keyspace: 'sessions', key: id, value: this.#encode(user) },
      { type: 'put', keyspace: 'of-user', key: `${user}\0${id}`, value: '' },
    ])
    return id
  }

  /** The user of a session, which lasts longer by this. Undefined where it is over. */
  use(id) {
    return this.#db.transact((transaction) => {
      const session = transaction.getString('sessions', id)
      if (session === undefined) return undefined
      const { user, until } = JSON.parse(session)
      if (until <= Date.now()) return this.#remove(transaction, user, id)
      transaction.put('sessions', id, this.#encode(user))
      return user
    })
  }

  /** Ends all sessions of a user. A session that begins meanwhile is a conflict, and is ended as well. */
  endAll(user) {
    return this.#db.transact((transaction) => {
      const ended = transaction.range('of-user', { prefix: `${user}\0` })
      for (const [key] of ended) this.#remove(transaction, user, key.toString().slice(user.length + 1))
      return ended.length
    })
  }

  get size() {
    return this.#sessions.size
  }

  #encode(user) {
    return JSON.stringify({ user, until: Date.now() + this.#milliseconds })
  }

  #remove(transaction, user, id) {
    transaction.delete('sessions', id)
    transaction.delete('of-user', `${user}\0${id}`)
  }
}

const db = open(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'opendb-')))
const sessions = new Sessions(db)
const ada = sessions.begin('ada')
sessions.begin('ada')
const bob = sessions.begin('bob')
console.log(sessions.use(ada), sessions.use(bob), sessions.use('nobody'))
console.log('ended', sessions.endAll('ada'), 'left', sessions.size, sessions.use(ada))

const hasty = new Sessions(db, 0)
console.log('over', hasty.use(hasty.begin('eve')), 'left', sessions.size)
db.close()
