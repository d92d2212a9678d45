import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { lowerPriority } from './lower-priority.ts'

test('a process becomes nicer, and one that is nicer already stays as it is', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  try {
    await once(child, 'spawn')
    assert.ok(child.pid !== undefined)
    lowerPriority(getPriority() + 3, child.pid)
    assert.equal(getPriority(child.pid), getPriority() + 3)
    lowerPriority(getPriority() + 1, child.pid)
    assert.equal(getPriority(child.pid), getPriority() + 3)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})
