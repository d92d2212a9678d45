import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { systemClock } from '../../std/clock.ts'
import { openEventLog } from './event-log.ts'

describe('openEventLog', () => {
  it('chains its lines over restarts, also after a line that a crash cut off', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'hf-'))
    try {
      const path = join(directory, 'events.jsonl')
      const write = async (...events: readonly string[]): Promise<void> => {
        await using log = await openEventLog(path, {
          node: 'n1',
          clock: systemClock,
          onError: (error) => assert.fail(String(error)),
        })
        for (const event of events) log.note(event, { lsn: '0/1' })
      }
      await write('one', 'two')
      await appendFile(path, '{"event":"cut')
      await write('three')
      const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
      assert.equal(lines.length, 4)
      for (const index of [1, 3]) {
        const hash = createHash('sha256')
          .update(lines[index - 1] ?? '')
          .digest('hex')
        assert.equal((JSON.parse(lines[index] ?? '') as { previous: string }).previous, hash)
      }
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
