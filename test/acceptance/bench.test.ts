import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Report } from '../../bench/backup/core/report.ts'
import { createTestDirectory } from '../support/postgres.ts'

const program = join(import.meta.dirname, '..', '..', 'bench', 'main.ts')

/** The machinery of `npm run bench`, on next to no data and without peers that may be missing; no figure is judged. */
test('the benchmark measures every task and tells what it could not compare', { timeout: 180_000 }, async () => {
  await using directory = await createTestDirectory()
  const json = join(directory.path, 'report.json')
  // WAL takes its own time to make.
  const tasks = '--tasks=full,unchanged,restore,delta-intact,one-percent,delta-diverged'
  const words = [
    'backup',
    '--scale=1',
    '--random-mb=1',
    '--runs=1',
    '--equal-only',
    '--peers=pg_dump',
    `--json=${json}`,
  ]
  const child = spawn(process.execPath, [program, ...words, tasks], {
    env: { PATH: process.env['PATH'], HOME: directory.path, TMPDIR: process.env['TMPDIR'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (text: Buffer) => (output += text.toString()))
  child.stderr.on('data', (text: Buffer) => (output += text.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 0, output)
  const report = JSON.parse(await readFile(json, 'utf8')) as Report
  const own = report.samples.filter(({ contender }) => contender === 'holdfast')
  assert.deepEqual(
    own.map(({ task }) => task),
    ['full', 'unchanged', 'restore', 'delta-intact', 'one-percent', 'delta-diverged'],
  )
  for (const { task, wallSeconds, cpuSeconds, peakBytes, storedBytes } of own) {
    assert.ok(wallSeconds > 0 && (cpuSeconds ?? 0) > 0 && (peakBytes ?? 0) > 10e6, `${task} was not measured`)
    const isBackup = ['full', 'unchanged', 'one-percent'].includes(task)
    assert.ok(!isBackup || (storedBytes ?? 0) > 0, `${task} stored nothing`)
  }
  const memory = report.ratios.find(({ target }) => target === 'peak memory')
  assert.notEqual(memory?.outcome, 'unmeasured')
  assert.ok(report.notMeasured.includes('full backup, wall'))
  assert.match(output, /full backup +holdfast/)
})
