import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { test } from 'node:test'
import { isFault } from './fault.ts'
import { stdFaults } from './faults.ts'
import { runProgram, runProgramToEnd } from './run-program.ts'

const options = { environment: { PATH: '/usr/bin:/bin', ONLY: 'this' }, deadlineMs: 20_000 }
const shell = (script: string, more = {}): ReturnType<typeof runProgram> =>
  runProgram('/bin/sh', ['-c', script], { ...options, ...more })

test('what a program writes and how it ends comes back', async () => {
  const result = await runProgramToEnd('/bin/sh', ['-c', 'echo out; echo err >&2; exit 3'], options)
  assert.deepEqual(result, { exitCode: 3, killedBy: null, stdout: 'out\n', stderr: 'err\n' })
})

test('a program sees the environment it was given and nothing of ours', async () => {
  process.env['PGHOST'] = 'leak'
  try {
    const { stdout } = await shell('echo "$ONLY-$PGHOST"')
    assert.equal(stdout, 'this-\n')
  } finally {
    delete process.env['PGHOST']
  }
})

test('an open file is handed over, from its beginning and without its name', async () => {
  await using file = await open(import.meta.filename)
  const { stdout } = await shell('head -n 1 /dev/fd/3', { fileDescriptor: file.fd })
  assert.equal(stdout, "import assert from 'node:assert/strict'\n")
})

test('a failure carries the exit code and the last lines', async () => {
  await assert.rejects(shell('echo one >&2; echo two >&2; exit 2'), (error) => {
    assert.ok(isFault(error, stdFaults['command-failed']))
    assert.match(error.message, /exit code 2: one \| two$/)
    return true
  })
  await assert.rejects(shell('kill -9 $$'), /was ended by SIGKILL: it said nothing/)
  await assert.rejects(runProgram('/nowhere/x', [], options), (error) => isFault(error, stdFaults['command-failed']))
})

test('a program that passes its deadline or is aborted is dead when the fault comes', async () => {
  await assert.rejects(shell('echo $$ >&2; exec sleep 600', { deadlineMs: 50 }), (error) => {
    assert.ok(isFault(error, stdFaults['deadline-passed']))
    const pid = Number(/ms: (\d+)$/.exec(error.message)?.[1])
    if (!Number.isNaN(pid)) assert.throws(() => process.kill(pid, 0), /ESRCH/)
    return true
  })
  await assert.rejects(shell('exec sleep 600', { signal: AbortSignal.timeout(20) }), /timeout/)
})

test('of a program that writes without end only the last part is kept', async () => {
  const { stdout } = await shell('yes 1234567 | head -c 9000000; echo end')
  assert.ok(stdout.length <= 2 ** 20 && stdout.endsWith('end\n'))
})
