import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { systemClock } from './clock.ts'
import { isFault } from './fault.ts'
import { stdFaults } from './faults.ts'
import { withProcessLock } from './process-lock.ts'

const program = `
  import { withProcessLock } from ${JSON.stringify(new URL('process-lock.ts', import.meta.url).href)}
  import { systemClock } from ${JSON.stringify(new URL('clock.ts', import.meta.url).href)}
  await withProcessLock(process.argv[1], { clock: systemClock, deadlineMs: 1000 }, async () => {
    process.stdout.write('locked')
    await new Promise((resolve) => setTimeout(resolve, 60_000))
  })
`

it('keeps other processes out until its holder is done or dead', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hf-lock-'))
  try {
    const file = join(directory, 'lock')
    const options = { clock: systemClock, deadlineMs: 50 }
    assert.equal(await withProcessLock(file, options, async () => 'first'), 'first')
    const holder = spawn(process.execPath, ['--input-type=module', '--eval', program, file], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await once(holder.stdout, 'data')
    await assert.rejects(
      withProcessLock(file, options, async () => 'second'),
      (error) => isFault(error, stdFaults['deadline-passed']),
    )
    const waiting = withProcessLock(file, { ...options, deadlineMs: 30_000 }, async () => 'third')
    holder.kill('SIGKILL')
    assert.equal(await waiting, 'third')
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
