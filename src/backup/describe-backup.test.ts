import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WholeFile } from '../repository/core/manifest.ts'
import type { EpochMs } from '../std/clock.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { type CopiedBackup, describeBackup } from './describe-backup.ts'

function file(path: string): WholeFile {
  return { kind: 'whole', path, sizeBytes: 8192, mode: 0o600, modifiedAt: 0 as EpochMs, parts: [] }
}

const early = file('pg_tblspc/16400/PG_15_1/5/1')
const late = file('pg_tblspc/16500/PG_15_1/5/1')
const backup: CopiedBackup = {
  facts: {
    systemIdentifier: 7n,
    postgresVersion: 150018,
    dataDirectory: '/data',
    pageChecksums: true,
    blocksPerSegment: 131072,
    walSegmentBytes: 16777216,
    tablespaceDirectory: 'PG_15_1',
    configurationElsewhere: ['/etc/postgresql.conf'],
    collationVersions: [],
  },
  origin: { incarnation: undefined, databases: {} },
  copied: {
    listing: {
      directories: ['pg_tblspc', 'pg_tblspc/16400', 'pg_tblspc/16500'].map((path) => ({ path, mode: 0o700 })),
      files: [],
      linkedTablespaces: [16400, 16500],
      skipped: ['link'],
    },
    files: [early, late, file('global/pg_control')],
    packs: [],
    chunkKey: '',
    changedBytes: 0,
    suspects: [
      { file: early, page: 0, blockKey: 'torn' },
      { file: early, page: 1, blockKey: 'bad' },
      { file: late, page: 2, blockKey: 'left out' },
    ],
    healedPages: 0,
    figures: { readMs: 0, packMs: 0, waitMs: 0 },
  },
  stopped: {
    startLsn: 1n as Lsn,
    stopLsn: 2n as Lsn,
    timeline: 1 as TimelineId,
    from: 'primary',
    backupLabel: 'label',
    tablespaceMap: '16300 /dropped\n16400 /early\n',
  },
  startedAt: 1 as EpochMs,
  stoppedAt: 2 as EpochMs,
}

test('a tablespace made after the backup began is left out, since replay makes it', () => {
  const { content } = describeBackup(backup, new Set(), {})
  assert.deepEqual(
    content.files.map(({ path }) => path),
    ['pg_tblspc', 'pg_tblspc/16400', early.path, 'global/pg_control'],
  )
  assert.deepEqual(content.tablespaces, [
    { oid: 16300, location: '/dropped' },
    { oid: 16400, location: '/early' },
  ])
  assert.equal(content.facts.dataBytes, 2 * 8192)
})

test('a suspect page that replay writes anew is torn, any other is damaged', () => {
  const { content, tornPages } = describeBackup(backup, new Set(['torn']), {})
  assert.deepEqual(content.facts.damagedPages, [{ path: early.path, page: 1 }])
  assert.equal(tornPages, 1)
})

test('notes what the backup cannot hold', () => {
  assert.deepEqual(describeBackup(backup, new Set(), { label: 'mine' }).content.facts.labels, {
    label: 'mine',
    'configuration-elsewhere': '/etc/postgresql.conf',
    'skipped-files': 'link',
  })
})
