import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
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

  it('counts what a full disk did not take, and leaves no half lines', async (test) => {
    const directory = await mkdtemp(join(tmpdir(), 'hf-'))
    try {
      const program = `
        import { readFileSync, rmSync, writeFileSync } from 'node:fs'
        import { openEventLog } from '${new URL('./event-log.ts', import.meta.url).href}'
        import { systemClock } from '${new URL('../../std/clock.ts', import.meta.url).href}'
        const errors = []
        const path = '${directory}/events.jsonl'
        const onError = (error) => errors.push(error.code)
        await using log = await openEventLog(path, { node: 'n1', clock: systemClock, onError })
        log.note('before')
        await log.flush()
        try { writeFileSync('${directory}/ballast', Buffer.alloc(2_000_000)) } catch {}
        const long = 'x'.repeat(5000)
        log.note('lost', { long })
        log.note('lost', { long })
        await log.flush()
        rmSync('${directory}/ballast')
        log.note('after')
        await log.flush()
        console.log(JSON.stringify({ errors, text: readFileSync(path, 'utf8') }))`
      await writeFile(`${directory}.mjs`, program)
      const mounted = (script: string): ReturnType<typeof spawnSync> =>
        spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-ec', script], { encoding: 'utf8' })
      const mount = `mount -t tmpfs -o size=100k none ${directory}`
      if (mounted(mount).status !== 0) return test.skip('no unprivileged user namespaces here')
      const run = mounted(`${mount}; exec '${process.execPath}' ${directory}.mjs`)
      assert.equal(run.status, 0, String(run.stderr))
      const { errors, text } = JSON.parse(String(run.stdout)) as { errors: string[]; text: string }
      assert.deepEqual(errors, ['ENOSPC', 'ENOSPC'])
      const lines = text.trimEnd().split('\n')
      const events = lines.map((line) => JSON.parse(line) as { event: string; count?: number; previous: string })
      assert.equal(
        events.reduce((sum, { count = 0 }) => sum + count, 0),
        2,
      )
      assert.deepEqual(
        events.flatMap(({ event }) => (event === 'events-lost' ? [] : [event])),
        ['before', 'after'],
      )
      for (const [index, { previous }] of events.entries()) {
        const before = lines[index - 1]
        if (before !== undefined) assert.equal(previous, createHash('sha256').update(before).digest('hex'))
      }
    } finally {
      await rm(directory, { recursive: true })
      await rm(`${directory}.mjs`, { force: true })
    }
  })
})
