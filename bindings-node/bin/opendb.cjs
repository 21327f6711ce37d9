#!/usr/bin/env node
'use strict'

const { native } = require('../lib/error.cjs')

// What is printed goes past the streams of Node.js, which have nothing to flush.
process.exitCode = native.commandLine(process.argv.slice(2))
