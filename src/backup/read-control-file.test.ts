import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../std/clock.ts'
import { backupFaults } from './faults.ts'
import { readControlFileBytes } from './read-control-file.ts'

async function dataDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-control-'))
  t.after(() => rm(directory, { recursive: true }))
  await mkdir(join(directory, 'global'))
  return directory
}

const clock = { ...systemClock, sleep: async () => {} }

test('a control file that is not there, or never right, is a fault', async (t) => {
  const directory = await dataDirectory(t)
  await assert.rejects(readControlFileBytes(directory, { clock }), { kind: backupFaults['backup-file-missing'] })
  await writeFile(join(directory, 'global/pg_control'), Buffer.alloc(8192, 1))
  await assert.rejects(readControlFileBytes(directory, { clock }), { kind: backupFaults['backup-file-unreadable'] })
})
