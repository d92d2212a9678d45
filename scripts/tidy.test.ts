import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { rules } from '../src/cluster/core/rule-ids.ts'
import type { FaultKind } from '../src/std/fault.ts'
import { root } from './suite.ts'

async function filesOf(...patterns: string[]): Promise<string[]> {
  const files: string[] = []
  for (const pattern of patterns) for await (const file of glob(pattern, { cwd: root })) files.push(file)
  return files.filter((file) => !file.includes('node_modules')).toSorted()
}

const read = (file: string): Promise<string> => readFile(join(root, file), 'utf8')

const sources = await filesOf('src/**/*.ts')
const shipped = new Map(
  await Promise.all(
    sources
      .filter((file) => !file.endsWith('.test.ts') && !file.endsWith('.fixture.ts'))
      .map(async (file) => [file, await read(file)] as const),
  ),
)
const tests = await Promise.all((await filesOf('src/**/*.test.ts', 'test/**/*.ts')).map(read))

async function faultTables(): Promise<[string, FaultKind[]][]> {
  const files = sources.filter((file) => basename(file) === 'faults.ts')
  return await Promise.all(
    files.map(async (file): Promise<[string, FaultKind[]]> => {
      const module = (await import(join(root, file))) as Record<string, Record<string, FaultKind>>
      return [file, Object.values(module).flatMap((table) => Object.values(table))]
    }),
  )
}

test('every fault is named after its subject, says what it means and what to do, and is thrown somewhere', async () => {
  const codes = new Set<string>()
  for (const [file, kinds] of await faultTables()) {
    const subjects = [basename(dirname(file)), file.split('/')[1] ?? '']
    for (const { code, meaning, hint } of kinds) {
      assert.ok(!codes.has(code), `${code} is declared twice`)
      codes.add(code)
      const named = subjects.some((subject) => subject === 'std' || code.startsWith(`${subject}-`))
      assert.ok(named, `${code} of ${file} should begin with one of ${subjects.join(', ')}`)
      assert.match(meaning, /^[A-Z`].*\.$/, `the meaning of ${code} is not a sentence`)
      assert.match(hint, /^[A-Z`].*\.$/, `the hint of ${code} is not a sentence`)
      const uses = [...shipped].filter(
        ([other, text]) => other !== file && (text.includes(`'${code}'`) || text.includes(`.${code}`)),
      )
      assert.ok(uses.length > 0, `nothing in src/ throws ${code}`)
    }
  }
})

test('every rule of a decision is explained in docs/design/failover.md and named by a test, and there is no other', async () => {
  const page = await read('docs/design/failover.md')
  for (const id of Object.keys(rules)) {
    assert.ok(page.includes(id), `docs/design/failover.md does not explain ${id}`)
    assert.ok(
      tests.some((text) => text.includes(id)),
      `no test names ${id}`,
    )
  }
  for (const id of page.match(/HA-\d{3}/g) ?? []) assert.ok(Object.hasOwn(rules, id), `there is no rule ${id}`)
})

test('every law is stated in docs/design/laws.md and named by a test', async () => {
  const page = await read('docs/design/laws.md')
  const promised = await filesOf('test/**/*.ts', 'src/**/*.test.ts')
  for (let number = 1; number <= 11; number += 1) {
    assert.match(page, new RegExp(`\\bL${number}\\b`), `L${number} is not stated`)
    const named = tests.some((text) => new RegExp(`\\bL${number}\\b`).test(text))
    assert.ok(named, `no test of ${promised.length} names L${number}`)
  }
})

test('files are named after what is in them', () => {
  for (const file of sources) {
    const name = basename(file)
    assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|fixture))?\.ts$/, `${file} is not kebab-case`)
    assert.doesNotMatch(name, /^(index|utils?|helpers?|types|common|misc|manager)\.ts$/, `${file} says nothing`)
  }
})

test('links in the documents lead somewhere', async () => {
  for (const file of await filesOf('*.md', 'docs/**/*.md')) {
    for (const [, target = ''] of (await read(file)).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      await assert.doesNotReject(
        readFile(join(root, normalize(join(dirname(file), target)))),
        `${file} links to ${target}`,
      )
    }
  }
})

test('no committed file names a machine or a registry', async () => {
  const lock = await read('package-lock.json')
  assert.doesNotMatch(lock, /"resolved": *"https?:/)
  for (const file of await filesOf(
    '*.{md,json,ts}',
    '.npmrc',
    '.ci/run',
    'docs/**/*.md',
    'scripts/**',
    'src/**/*.ts',
    'test/**/*.ts',
  )) {
    if (file === 'package-lock.json' || file === 'scripts/tidy.test.ts' || !file.includes('.')) continue
    assert.doesNotMatch(await read(file), /registry\.npmjs|\/work\/main/, `${file} names one`)
  }
})
