import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../std/clock.ts'
import { runJob } from './run-job.ts'

const never = new AbortController().signal

describe('a job', () => {
  let directory = ''
  before(async () => void (directory = await mkdtemp(join(tmpdir(), 'hf-job-'))))
  after(() => rm(directory, { recursive: true, force: true }))

  const run = async (program: string, signal = never): ReturnType<typeof runJob> => {
    const file = join(directory, 'program.mjs')
    await writeFile(file, program)
    const sizeOf = (document: unknown): number | null => (document as { size?: number }).size ?? null
    return await runJob({ program: file, arguments: ['backup'], environment: {}, sizeOf, clock: systemClock }, signal)
  }

  test('that goes well tells its size, and is run niced', async () => {
    const end = await run(`
      import { getPriority } from 'node:os'
      if (getPriority() < 10 && !(await new Promise((done) => setTimeout(() => done(getPriority() === 10), 300)))) process.exit(1)
      console.log(JSON.stringify({ size: 42, args: process.argv.slice(2) }))`)
    assert.ok(end.durationMs > 0)
    assert.deepEqual(
      { ...end, durationMs: 0 },
      { outcome: 'ok', exitCode: 0, sizeBytes: 42, error: null, retry: false, durationMs: 0 },
    )
  })

  const ends: readonly (readonly [string, string, object])[] = [
    [
      'a fault is told by its message',
      `console.log(JSON.stringify({ error: { message: 'Cannot do it:\\n  no' } })); process.exitCode = 7`,
      { outcome: 'failed', exitCode: 7, error: 'Cannot do it: no', retry: true },
    ],
    [
      'done with something wrong',
      `console.log('{}'); process.exitCode = 3`,
      { outcome: 'degraded', exitCode: 3, retry: false },
    ],
    [
      'a wrong configuration is no better a minute later',
      `console.log('{"error":{"message":"x"}}'); process.exitCode = 2`,
      { outcome: 'failed', exitCode: 2, retry: false },
    ],
    [
      'a crash is told by its last line',
      `console.error('one\\ntwo'); process.exitCode = 70`,
      { outcome: 'failed', exitCode: 70, error: 'two', retry: false },
    ],
    [
      'killed by somebody else',
      `process.kill(process.pid, 'SIGKILL')`,
      { outcome: 'failed', exitCode: null, error: 'ended by SIGKILL', retry: true },
    ],
  ]
  for (const [name, program, expected] of ends) {
    test(name, async () => {
      const end = await run(program)
      assert.deepEqual({ ...end, ...expected }, end)
    })
  }

  test('is asked to stop when the leadership ends', async () => {
    const stop = new AbortController()
    const ending = run(
      `process.on('SIGTERM', () => process.exit(130)); setInterval(() => {}, 1000); process.stdout.write('x')`,
      stop.signal,
    )
    setTimeout(() => stop.abort(), 500)
    const { outcome, retry } = await ending
    assert.deepEqual([outcome, retry], ['interrupted', true])
  })
})
