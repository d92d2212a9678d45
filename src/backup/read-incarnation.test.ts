import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readIncarnation, settledFilter } from './read-incarnation.ts'

async function dataDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-incarnation-'))
  t.after(() => rm(directory, { recursive: true }))
  await mkdir(join(directory, 'global'))
  await writeFile(join(directory, 'PG_VERSION'), '15\n')
  await writeFile(join(directory, 'global/pg_control'), '')
  return directory
}

test('a data directory stays itself until it is made anew', async (t) => {
  const directory = await dataDirectory(t)
  const before = await readIncarnation(directory)
  await writeFile(join(directory, 'postgresql.conf'), 'written to')
  assert.ok(before !== undefined)
  assert.equal(await readIncarnation(directory), before)
  // What a restore over it does.
  await writeFile(join(directory, 'restored'), '15\n')
  await rename(join(directory, 'restored'), join(directory, 'PG_VERSION'))
  assert.notEqual(await readIncarnation(directory), before)
  assert.equal(await readIncarnation(join(directory, 'absent')), undefined)
})

test('a file that was changed shortly before the checkpoint may be written to again without a trace', async (t) => {
  const directory = await dataDirectory(t)
  const checkpoint = new Date(1_800_000_000_000)
  await utimes(join(directory, 'global/pg_control'), checkpoint, checkpoint)
  const settled = await settledFilter(directory)
  assert.equal(settled(checkpoint.getTime() - 1000), false)
  assert.equal(settled(checkpoint.getTime() + 1000), false)
  assert.equal(settled(checkpoint.getTime() - 10_000), true)
})
