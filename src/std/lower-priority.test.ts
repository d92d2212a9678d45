import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const file = join(import.meta.dirname, 'lower-priority.ts')
const script = `import { lowerPriority } from ${JSON.stringify(file)}
import { getPriority } from 'node:os'
lowerPriority(${getPriority() + 2})
process.stdout.write(String(getPriority()))`

function priorityWhenStartedAt(steps: number): number {
  const words = ['-n', String(steps), process.execPath, '--input-type=module', '--eval', script]
  const { stdout, stderr, status } = spawnSync('nice', words, { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return Number(stdout)
}

test('a process goes down to the niceness that is wanted, and one that is lower stays where it is', () => {
  assert.equal(priorityWhenStartedAt(0), getPriority() + 2)
  assert.equal(priorityWhenStartedAt(4), getPriority() + 4)
})
