import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { listBackups, readManifest } from '../../../src/repository/catalogue.ts'
import { packObject } from '../../../src/repository/core/object-names.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { readHistory, readWalSegment, walInventory } from '../../../src/repository/wal-objects.ts'
import { readSegmentBestEffort } from '../../../src/repository/wal-segment-best-effort.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { cluster, segmentName, tailStart, timeline, walSegmentBytes } from './sample-repository.ts'
import type { TimelineId } from '../../../src/wal/core/lsn.ts'

/** A repository written when format 1 was made. If this fails, a change broke the reading of existing backups. */
const fixture = fileURLToPath(new URL('../../fixtures/repository-v1/', import.meta.url))
const root = join(fixture, 'repository')
const expected = JSON.parse(await readFile(join(fixture, 'expected.json'), 'utf8')) as {
  readonly passphrase: string
  readonly repositoryId: string
  readonly backup: string
  readonly files: Readonly<Record<string, string>>
  readonly wal: Readonly<Record<'segment' | 'tail' | 'history', string>>
}
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Opening a store may clean it up; the fixture is only ever read. */
async function fixtureStore(): Promise<ObjectStore> {
  return openFileSystemStore({ root, clock: systemClock })
}

test('a repository of format 1 keeps opening, its backup verifies, its WAL reads', async () => {
  await using store = await fixtureStore()
  const repository = await openRepository(store, { passphrase: new Secret(expected.passphrase) })
  assert.equal(repository.id, expected.repositoryId)
  const { backups, damaged } = await listBackups(repository, cluster)
  assert.deepEqual(damaged, [])
  const [commit] = backups
  assert.equal(commit?.facts.backup, expected.backup)
  assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
  const manifest = await readManifest(repository, commit)
  assert.equal(manifest.facts.systemIdentifier, 7_300_000_000_000_000_001n)
  assert.equal(manifest.facts.packs[1]?.key, packObject(cluster, expected.backup, 1))
  const paths = manifest.files.filter(({ kind }) => kind !== 'directory').map(({ path }) => path)
  assert.deepEqual(paths.toSorted(), Object.keys(expected.files).toSorted())
  const inventory = await walInventory(repository, cluster)
  assert.deepEqual(inventory.segments, [{ timeline, name: segmentName }])
  assert.equal(sha256(await readWalSegment(repository, { cluster, name: segmentName })), expected.wal.segment)
  const tail = await readSegmentBestEffort(repository, { cluster, timeline, startLsn: tailStart, walSegmentBytes })
  assert.equal(tail && sha256(tail.bytes), expected.wal.tail)
  assert.equal(sha256(await readHistory(repository, { cluster, timeline: 2 as TimelineId })), expected.wal.history)
})

for (const [which, program] of [
  ['the restore.mjs it was written with', join(root, 'restore.mjs')],
  ["today's restore.mjs", fileURLToPath(new URL('../../../src/repository/restore-kit/restore.mjs', import.meta.url))],
] as const) {
  test(`a repository of format 1 is restored by ${which}`, async (t) => {
    const scratch = await mkdtemp(join(tmpdir(), 'holdfast-golden-'))
    t.after(() => rm(scratch, { recursive: true, force: true }))
    const target = join(scratch, 'data')
    const args = [program, '--repository', root, '--backup', expected.backup, '--target', target]
    const run = spawnSync(process.execPath, args, { input: expected.passphrase, env: {}, encoding: 'utf8' })
    assert.equal(run.status, 0, run.stderr)
    for (const [path, hash] of Object.entries(expected.files)) {
      assert.equal(sha256(await readFile(join(target, path))), hash, path)
    }
  })
}
