// Compiled by `npm run types` and never run: the declarations as CommonJS sees them.

import opendb = require('opendb')

const db: opendb.OpenDB = opendb.open('./db')
const entries: opendb.Entry[] = db.scanPrefix('user:')
console.log(entries, db instanceof opendb.OpenDB)
