import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import type { DirectoryEntry, WholeFile } from '../repository/core/manifest.ts'
import { manifestLinesOf } from '../repository/manifest-lines.ts'
import type { EpochMs } from '../std/clock.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { type CopiedBackup, describeBackup } from './describe-backup.ts'

function file(path: string): WholeFile {
  return { kind: 'whole', path, sizeBytes: 8192, mode: 0o600, modifiedAt: 0 as EpochMs, parts: [] }
}

function directory(path: string): DirectoryEntry {
  return { kind: 'directory', path, mode: 0o700 }
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
    sections: [
      { linkedTablespace: undefined, lines: manifestLinesOf([directory('pg_tblspc')]) },
      { linkedTablespace: 16400, lines: manifestLinesOf([directory('pg_tblspc/16400'), early]) },
      { linkedTablespace: 16500, lines: manifestLinesOf([directory('pg_tblspc/16500'), late]) },
      { linkedTablespace: undefined, lines: manifestLinesOf([file('global/pg_control')]) },
    ],
    skipped: ['link'],
    takenOver: {},
    takenOverBytes: 0,
    packs: [],
    chunkKey: '',
    changedBytes: 0,
    suspects: [
      { path: early.path, page: 0, blockKey: 'torn', linkedTablespace: 16400 },
      { path: early.path, page: 1, blockKey: 'bad', linkedTablespace: 16400 },
      { path: late.path, page: 2, blockKey: 'left out', linkedTablespace: 16500 },
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
  const { files } = content
  assert.ok('chunks' in files)
  const chunks = [...files.chunks()].map(({ codec, body }) => (codec === 'zstd' ? zstdDecompressSync(body) : body))
  const lines = Buffer.concat(chunks).toString().trim().split('\n')
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { path: string }).path),
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
