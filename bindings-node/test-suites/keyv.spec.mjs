// The suite that Keyv publishes for its stores.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite'
import Keyv from 'keyv'
import { KeyvOpenDB } from 'opendb/keyv'
import * as test from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'opendb-keyv-'))
const store = () => new KeyvOpenDB(directory)

keyvTestSuite(test, Keyv, store)
keyvIteratorTests(test, Keyv, store)
