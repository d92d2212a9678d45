import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { EpochMs } from '../std/clock.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import type { BackupFacts } from './core/backup-facts.ts'
import type { ManifestFile } from './core/manifest.ts'
import { manifestObject } from './core/object-names.ts'
import type { Keyring } from './keyring.ts'
import { manifestLinesOf } from './manifest-lines.ts'
import { openManifest, sealManifest } from './manifest-object.ts'

const at = 1_767_323_045_000 as EpochMs
const dataKey = { id: 'ab'.repeat(16), key: createSecretKey(randomBytes(32)) }
const keyring: Keyring = { repositoryId: 'r', current: dataKey, keys: [dataKey] }
const facts: BackupFacts = {
  repositoryId: 'r',
  cluster: 'main',
  backup: '20260102T030405Z-00000000',
  kind: 'full',
  parent: null,
  startedAt: at,
  stoppedAt: at,
  systemIdentifier: 1n,
  postgresVersion: 180000,
  node: null,
  role: 'primary',
  timeline: 1 as TimelineId,
  startLsn: 1n as Lsn,
  stopLsn: 2n as Lsn,
  walSegmentBytes: 16_777_216,
  pageBytes: 8192,
  pageChecksums: true,
  damagedPages: [],
  labels: {},
  fileCount: 0,
  dataBytes: 0,
  packs: [{ key: 'main/packs/x/000000', sha256: 'ab'.repeat(32), sizeBytes: 100 }],
}

function* manyFiles(count: number): Generator<ManifestFile> {
  for (let number = 0; number < count; number++) {
    const parts = [{ pack: 0, record: number, count: 1 }]
    yield { kind: 'whole', path: `base/5/ü${number}`, sizeBytes: 3, mode: 0o600, modifiedAt: at, parts }
  }
}

test('a manifest of more than a record is read line by line, as often as one likes', () => {
  const lines = manifestLinesOf(manyFiles(30_000))
  assert.deepEqual([lines.fileCount, lines.dataBytes], [30_000, 90_000])
  const head = { facts: { ...facts, fileCount: 30_000 }, backupLabel: 'label', tablespaceMap: null, tablespaces: [] }
  const sealed = sealManifest(keyring, head, lines)
  const manifest = { key: manifestObject('main', facts.backup), sha256: sealed.sha256, sizeBytes: sealed.sizeBytes }
  const { files, ...opened } = openManifest(keyring, { committedAt: at, manifest, facts: head.facts }, sealed.bytes)
  assert.deepEqual(opened, head)
  for (let time = 0; time < 2; time++) assert.deepEqual([...files()], [...manyFiles(30_000)])
  const [first] = files()
  assert.equal(first?.path, 'base/5/ü0')
})

test('lines that are missing show at the end', () => {
  const head = { facts: { ...facts, fileCount: 3 }, backupLabel: '', tablespaceMap: null, tablespaces: [] }
  const sealed = sealManifest(keyring, head, manifestLinesOf(manyFiles(2)))
  const manifest = { key: manifestObject('main', facts.backup), sha256: sealed.sha256, sizeBytes: sealed.sizeBytes }
  const reader = openManifest(keyring, { committedAt: at, manifest, facts: head.facts }, sealed.bytes)
  assert.throws(() => [...reader.files()], { code: 'repository-object-damaged' })
})
