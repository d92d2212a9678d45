import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { processesBelow } from '../../src/cli/demo/node-processes.ts'
import type { DemoReport } from '../../src/cli/demo/report.ts'
import { compileProgram } from '../support/compiled-program.ts'

// The demo runs as it is shipped: compiled.
let compiled = ''
let program = ''

before(async () => {
  compiled = await mkdtemp(join(tmpdir(), 'p-'))
  program = compileProgram(compiled)
})

after(() => rm(compiled, { recursive: true, force: true }))

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the demo; `interruptAt` sends it Ctrl-C as soon as it prints this. */
function runDemo(directory: string, flags: readonly string[], interruptAt?: string): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, 'demo', '--report', directory, ...flags], {
      env: { ...process.env, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    let interrupted = false
    const look = (): void => {
      if (interrupted || interruptAt === undefined || !`${stdout}${stderr}`.includes(interruptAt)) return
      interrupted = true
      child.kill('SIGINT')
    }
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString()
      look()
    })
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString()
      look()
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

test('the demo passes every check, writes its report and leaves nothing behind', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'd-'))
  try {
    const { code, stdout, stderr } = await runDemo(directory, ['--json', '--seed', '7'])
    assert.equal(code, 0, `${stderr}\n${stdout}`)
    const report = JSON.parse(stdout) as DemoReport
    assert.equal(report.passed, true)
    assert.ok(report.checks.length >= 20)
    assert.ok(report.checks.every((check) => check.passed && check.figure !== ''))
    assert.deepEqual(
      report.failovers.map((failover) => failover.lostRows),
      [0, 0],
    )
    assert.equal(report.restore?.rowsAfterTarget, 0)
    const page = await readFile(join(directory, 'holdfast-demo.html'), 'utf8')
    assert.match(page, /All \d+ checks passed/)
    assert.doesNotMatch(page, /<script|https?:\/\//)
    assert.deepEqual(JSON.parse(await readFile(join(directory, 'holdfast-demo.json'), 'utf8')), report)
    assert.deepEqual((await readdir(directory)).toSorted(), ['holdfast-demo.html', 'holdfast-demo.json'])
    assert.deepEqual(await processesBelow(directory), [])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

for (const moment of ['1 A cluster from nothing', '3 Encrypted backup', '4 Disaster one']) {
  test(`Ctrl-C at "${moment}" ends the demo with nothing left behind`, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'd-'))
    try {
      const { code, stderr } = await runDemo(directory, ['--seed', '7'], moment)
      assert.equal(code, 130, stderr)
      assert.match(stderr, /interrupted/)
      assert.deepEqual(await readdir(directory), [])
      assert.deepEqual(await processesBelow(directory), [])
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
}
