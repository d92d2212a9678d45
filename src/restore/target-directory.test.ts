import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { claimTargetDirectory, tablespaceMap } from './target-directory.ts'

test('a restore that cannot fit is refused before it begins', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hf-'))
  try {
    const facts = { dataBytes: 2 ** 60, backup: 'b' }
    const manifest = { facts, tablespaces: [] }
    const target = { path: join(root, 'data'), tablespaces: new Map<number, string>() }
    await assert.rejects(claimTargetDirectory(target, manifest), (error) => isFault(error, stdFaults['disk-full']))
    assert.deepEqual(await readdir(target.path), [])
  } finally {
    await rm(root, { recursive: true })
  }
})

test('the map of tablespaces has the new places, escaped as PostgreSQL reads them', () => {
  const tablespaces = new Map([[16384, String.raw`/new/a\b`]])
  const manifest = { tablespaces: [{ oid: 16384, location: '/old' }] }
  assert.equal(tablespaceMap({ path: '/data', tablespaces }, manifest), '16384 /new/a\\\\b\n')
})
