import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import opendb, * as exported from 'opendb'
import ts from 'typescript'

const require = createRequire(import.meta.url)
const { native } = require('../lib/error.cjs')
const declarations = fileURLToPath(new URL('../index.d.cts', import.meta.url))

const source = ts.createSourceFile(declarations, readFileSync(declarations, 'utf8'), ts.ScriptTarget.Latest, true)
const classes = source.statements.filter(ts.isClassDeclaration)
const interfaces = new Map(source.statements.filter(ts.isInterfaceDeclaration).map((node) => [node.name.text, node]))
const has = (node, kind) => node.modifiers?.some((modifier) => modifier.kind === kind) ?? false

/** The names of the declared members of a class, those of its interfaces among them. */
function declaredMembers(node) {
  const merged = [...interfaces.values()].filter((candidate) => candidate.name.text === node.name.text)
  const bases = merged.flatMap((found) => found.heritageClauses ?? []).flatMap((clause) => clause.types)
  const nodes = [node, ...bases.map((base) => interfaces.get(base.expression.getText()))]
  return nodes
    .flatMap((found) => [...found.members])
    .filter((member) => !ts.isConstructorDeclaration(member) && !has(member, ts.SyntaxKind.StaticKeyword))
    .map((member) => member.name.getText())
}

/** The names of the members that objects of a class really have, down to where JavaScript's own begin. */
function realMembers(Class) {
  const names = []
  for (let at = Class.prototype; Object.hasOwn(exported, at.constructor.name) || at.constructor.name === 'Store'; ) {
    names.push(...Reflect.ownKeys(at).filter((key) => key !== 'constructor'))
    at = Object.getPrototypeOf(at)
  }
  const symbols = new Map(
    ['iterator', 'asyncIterator', 'dispose', 'asyncDispose'].map((name) => [Symbol[name], `[Symbol.${name}]`]),
  )
  return names.map((key) => symbols.get(key) ?? key)
}

test('what index.d.cts exports is what the package exports', () => {
  const variables = source.statements.filter(ts.isVariableStatement)
  const names = variables.flatMap((statement) => statement.declarationList.declarations.map(({ name }) => name.text))
  const declared = [...classes.map((node) => node.name.text), ...names].sort()
  assert.deepEqual(Object.keys(exported).filter((name) => name !== 'default').sort(), declared)
  assert.deepEqual(Object.keys(opendb).sort(), declared)
  for (const name of declared) assert.equal(exported[name], opendb[name])
  assert.equal(require('opendb'), opendb)
})

for (const node of classes) {
  const name = node.name.text
  test(`${name} has the members that index.d.cts declares, and no others`, () => {
    // An overload has the name of the one before it.
    const members = declaredMembers(node)
    const declared = members.filter((member, at) => member !== members[at - 1]).sort()
    assert.equal(new Set(declared).size, declared.length)
    if (name === 'OpenDBError') {
      const raised = [1, 4].flatMap((kind) => {
        try {
          return native.errorRaise(kind)
        } catch (error) {
          return Object.keys(error)
        }
      })
      assert.deepEqual([...new Set(raised)].sort(), declared)
    } else {
      assert.deepEqual(realMembers(exported[name]).sort(), declared)
    }
    const statics = node.members.filter((member) => has(member, ts.SyntaxKind.StaticKeyword))
    const own = ['length', 'name', 'prototype']
    assert.deepEqual(
      Object.getOwnPropertyNames(exported[name]).filter((key) => !own.includes(key)).sort(),
      statics.map((member) => member.name.getText()).sort(),
    )
  })
}

test('every declaration and every member is documented', () => {
  const documented = (node) => ts.getJSDocCommentsAndTags(node).length > 0
  const nodes = [...classes, ...interfaces.values()]
  // An interface that only gives a class of the same name its calls is documented there.
  const named = nodes.filter((node) => !(ts.isInterfaceDeclaration(node) && node.members.length === 0))
  assert.deepEqual(named.filter((node) => !documented(node)).map((node) => node.name.text), [])
  const hidden = (member) => has(member, ts.SyntaxKind.PrivateKeyword)
  const members = nodes.flatMap((node) => [...node.members]).filter((member) => !hidden(member))
  assert.deepEqual(members.filter((member) => !documented(member)).map((member) => member.getText()), [])
  assert.ok(members.length > 90)
})

test('the codes of index.d.cts are the kinds of the core', () => {
  const type = source.statements.find((node) => ts.isTypeAliasDeclaration(node) && node.name.text === 'ErrorCode').type
  const codes = type.types.map((node) => node.literal.text)
  assert.deepEqual(codes, native.errorKinds().map(({ code }) => code))
})
