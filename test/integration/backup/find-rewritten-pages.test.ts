import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { blockKey, blockReferenceOf } from '../../../src/backup/core/block-references.ts'
import { parseRelationFile } from '../../../src/backup/core/relation-file.ts'
import { findRewrittenPages } from '../../../src/backup/find-rewritten-pages.ts'
import { openServerSession } from '../../../src/backup/server-session.ts'
import { waitForWal } from '../../../src/backup/wait-for-wal.ts'
import { backupFaults } from '../../../src/backup/faults.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { formatLsn, type Lsn } from '../../../src/wal/core/lsn.ts'
import { testMajors } from '../../support/postgres.ts'
import { cluster, openBackupScene, runTool } from './backup-scene.ts'

for (const installation of await testMajors()) {
  const name = `finds the pages that WAL has whole, PostgreSQL ${installation.version}`
  test(name, { timeout: 60_000 }, async () => {
    await using scene = await openBackupScene({ installation, walSegmentBytes: 1024 * 1024 })
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t AS SELECT id, 0 AS changes FROM generate_series(1, 20000) id')
    await sql.query('CREATE INDEX ON t (id)')
    await using session = await openServerSession(scene.server.target, scene.server.dataDirectory)
    await session.start('test')
    await sql.query("UPDATE t SET changes = 1 WHERE ctid IN ('(3,1)', '(7,1)')")
    // Enough for records that go on from one segment to the next.
    await sql.query("CREATE TABLE u AS SELECT id, repeat('x', 1000) AS filler FROM generate_series(1, 4000) id")
    await sql.query('VACUUM t')
    const stopped = await session.stop()
    const needed = { ...stopped, cluster, walSegmentBytes: session.facts.walSegmentBytes }
    await waitForWal(scene.repository, needed, { clock, stallMs: 20_000 })

    const paths = await sql.query<{ path: string }>("SELECT pg_relation_filepath('t') AS path")
    const relation = parseRelationFile(paths[0]?.path ?? '') ?? assert.fail()
    const keyOf = (block: number): string => blockKey(blockReferenceOf(relation, block))
    const wanted = new Set([3, 7, 4, 50].map(keyOf))
    const found = await findRewrittenPages(scene.repository, needed, wanted)
    assert.ok(found.has(keyOf(3)) && found.has(keyOf(7)))
    assert.ok(!found.has(keyOf(100)), 'only what was asked for')

    const all = await findRewrittenPages(scene.repository, needed, new Everything())
    const images = await imagesByWaldump(installation.binDirectory, scene.server.dataDirectory, needed)
    if (images === undefined) return
    assert.ok(images.size > 10)
    assert.deepEqual(
      [...images].filter((key) => !all.has(key)),
      [],
    )
  })
}

class Everything extends Set<string> {
  override has(): boolean {
    return true
  }
}

/** The pages of which PostgreSQL's own tool shows a full image; undefined where the tool is missing. */
async function imagesByWaldump(
  binDirectory: string,
  dataDirectory: string,
  range: { readonly startLsn: Lsn; readonly stopLsn: Lsn },
): Promise<Set<string> | undefined> {
  const program = join(binDirectory, 'pg_waldump')
  const missing = await access(program).then(
    () => false,
    () => true,
  )
  if (missing) return undefined
  const { output } = await runTool(program, {
    arguments: ['-p', join(dataDirectory, 'pg_wal'), '-s', formatLsn(range.startLsn), '-e', formatLsn(range.stopLsn)],
    environment: {},
  })
  const pattern = /blkref #\d+: rel (\d+)\/(\d+)\/(\d+)(?: fork (\w+))? blk (\d+) FPW/g
  return new Set(
    [...output.matchAll(pattern)].map(([, tablespace, database, relation, fork = 'main', block]) =>
      [tablespace, database, relation, fork, block].join('/'),
    ),
  )
}

test('WAL that breaks off before the backup’s end is a fault', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  await using session = await openServerSession(scene.server.target, scene.server.dataDirectory)
  await session.start('test')
  const stopped = await session.stop()
  const needed = { ...stopped, cluster, walSegmentBytes: session.facts.walSegmentBytes }
  await waitForWal(scene.repository, needed, { clock, stallMs: 20_000 })
  const tooLate = { ...needed, stopLsn: (needed.stopLsn + BigInt(4 * needed.walSegmentBytes)) as Lsn }
  const failed = findRewrittenPages(scene.repository, tooLate, new Set(['none']))
  await assert.rejects(failed, { kind: backupFaults['backup-wal-missing'] })
})
