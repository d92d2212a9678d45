import { copyDataDirectory } from '../../../src/backup/copy-data-directory.ts'
import { describeBackup } from '../../../src/backup/describe-backup.ts'
import type { Parent } from '../../../src/backup/core/share-files.ts'
import { beginBackup } from '../../../src/repository/backup-session.ts'
import { openBackupManifest } from '../../../src/repository/catalogue.ts'
import { createRepository } from '../../../src/repository/repository.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { keepHeapSmall } from '../../../src/std/small-heap.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { cluster, passphrase } from './backup-scene.ts'

/**
 * Everything of a backup but the server, on a data directory of any number of files, in a process of its own so that its
 * memory can be measured: `<data directory> <repository>`. A full backup, and an incremental one after it.
 */
const [dataDirectory = '', root = ''] = process.argv.slice(2)
keepHeapSmall()
const store = await openFileSystemStore({ root, createRoot: true, clock })
const repository = await createRepository(store, { passphrase, clock })
const facts = {
  systemIdentifier: 7n,
  postgresVersion: 180000,
  dataDirectory,
  pageChecksums: true,
  blocksPerSegment: 131_072,
  walSegmentBytes: 16_777_216,
  tablespaceDirectory: 'PG_18_1',
  configurationElsewhere: [],
  collationVersions: [],
}
const stopped = {
  startLsn: 1n as Lsn,
  stopLsn: 2n as Lsn,
  timeline: 1 as TimelineId,
  from: 'primary',
  backupLabel: '',
  tablespaceMap: '',
} as const
let parent: Parent | undefined
for (const kind of ['full', 'incremental'] as const) {
  const began = performance.now()
  const before = parent?.manifest.facts.backup
  const session = await beginBackup(repository, { cluster, kind, parent: before, node: 'n' }, { clock })
  const server = facts
  const job = { repository, session, dataDirectory, server, parent, workers: 2, clock, onProgress: () => undefined }
  const copied = await copyDataDirectory(job)
  const origin = { incarnation: 'here', databases: { 5: '1' } }
  const times = { startedAt: clock.wall(), stoppedAt: clock.wall() }
  const { content } = describeBackup({ facts, origin, copied, stopped, ...times }, new Set(), {})
  const commit = await session.commit(content)
  const manifest = await openBackupManifest(repository, commit)
  parent = { manifest, sameIncarnation: true, databases: origin.databases }
  const report = {
    kind,
    files: commit.facts.fileCount,
    changedBytes: copied.changedBytes,
    manifestBytes: commit.manifest.sizeBytes,
    seconds: Number(((performance.now() - began) / 1000).toFixed(1)),
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1000),
  }
  process.stdout.write(`${JSON.stringify(report)}\n`)
}
