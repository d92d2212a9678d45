/**
 * Runs one test suite in this process's user and prints its counts; `scripts/test.ts` runs it as an unprivileged user.
 * Fails also when a test leaves a process or a temporary directory behind.
 *
 *   run-suite.ts SUITE COUNTS_FILE [FILE…]
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { testFiles, type Suite } from './test-files.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [suite, countsFile, ...named] = process.argv.slice(2) as [Suite, string, ...string[]]
const files = named.length > 0 ? named : await testFiles(suite, root)

/** Processes that mention the directory in their arguments or environment: started by a test and still running. */
async function leftProcesses(directory: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const facts = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    )
    if (facts.some((fact) => fact.includes(directory))) found.push(`${pid} ${facts[0]?.replaceAll('\0', ' ').trim()}`)
  }
  return found
}

const base = process.env['HOLDFAST_SCRATCH'] ?? tmpdir()
const scratch = await mkdtemp(join(base, 't-'))
process.env['TMPDIR'] = scratch
// What programs under test compile goes beside the tests' directory, where it is no leftover and serves the next one.
process.env['NODE_COMPILE_CACHE'] = join(base, 'compile-cache')
let passed = 0
let failed = 0
const problems: string[] = []

const stream = run({
  files: files.map((file) => resolve(root, file)),
  concurrency: suite === 'unit' ? 2 : 1,
  timeout: suite === 'unit' ? 60_000 : 900_000,
})
stream.on('test:summary', (summary) => {
  if (summary.file !== undefined) return
  const { tests, skipped, todo } = summary.counts
  passed = summary.counts.passed
  failed = tests - passed - skipped - todo
})
stream.on('test:skip', (test) => {
  const reason = typeof test.skip === 'string' ? test.skip : 'no reason given'
  if (process.env['CI'] === 'true') problems.push(`skipped in CI: ${test.name} (${reason})`)
  else process.stdout.write(`skipped: ${test.name} (${reason})\n`)
})
await new Promise<void>((done) => {
  stream.on('end', done)
  stream.compose(new spec()).pipe(process.stdout, { end: false })
})

for (const line of await leftProcesses(scratch)) {
  problems.push(`left running: ${line}`)
  process.kill(Number(line.split(' ')[0]), 'SIGKILL')
}
for (const name of await readdir(scratch)) problems.push(`left behind in the temporary directory: ${name}`)
await rm(scratch, { recursive: true, force: true })
for (const problem of problems) process.stdout.write(`✗ ${problem}\n`)

await writeFile(join(base, countsFile), JSON.stringify({ suite, passed, failed: failed + problems.length }))
process.exitCode = failed + problems.length > 0 ? 1 : 0
