import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { sameFacts, type BackupFacts } from './backup-facts.ts'
import { commitFromJson, commitToJson } from './commit.ts'
import { Malformed } from './malformed.ts'
import {
  decodeManifestFiles,
  decodeManifestHead,
  encodeManifestFile,
  encodeManifestHead,
  type Manifest,
} from './manifest.ts'

const at = 1_767_323_045_000 as EpochMs
const pack = { key: 'main/packs/x/000000', sha256: 'ab'.repeat(32), sizeBytes: 100 }
const facts: BackupFacts = {
  repositoryId: 'r',
  cluster: 'main',
  backup: '20260102T030405Z-00000000',
  kind: 'full',
  parent: null,
  startedAt: at,
  stoppedAt: at,
  systemIdentifier: 18_446_744_073_709_551_615n,
  postgresVersion: 150018,
  node: null,
  role: 'standby',
  timeline: 3 as TimelineId,
  startLsn: 0x16_b374_d848n as Lsn,
  stopLsn: 0x16_b374_d949n as Lsn,
  walSegmentBytes: 16_777_216,
  pageBytes: 8192,
  pageChecksums: true,
  damagedPages: [{ path: 'base/1/2', page: 7 }],
  labels: { why: 'before the upgrade' },
  fileCount: 3,
  dataBytes: 8195,
  packs: [pack, { ...pack, key: 'main/packs/x/000001' }],
}
const manifest: Manifest = {
  facts,
  backupLabel: 'START WAL LOCATION: …\n',
  tablespaceMap: '16390 /mnt/fast\n',
  tablespaces: [{ oid: 16390, location: '/mnt/fast' }],
  chunkKey: 'AAEC',
  files: [
    { kind: 'directory', path: 'base', mode: 0o700 },
    {
      kind: 'pages',
      path: 'base/1/2',
      sizeBytes: 8192,
      mode: 0o600,
      modifiedAt: at,
      hashes: 'AAECAwQFBgcICQoLDA0ODw==',
      map: [{ startPage: 0, count: 1, pack: 1, record: 5, slot: 31 }],
    },
    {
      kind: 'whole',
      path: 'PG_VERSION ü\n"',
      sizeBytes: 3,
      mode: 0o640,
      modifiedAt: at,
      parts: [{ pack: 0, record: 1, count: 1 }],
    },
  ],
}

function lines(of: Manifest): string[] {
  return [encodeManifestHead(of), ...of.files.map(encodeManifestFile)].map((line) => line.slice(0, -1))
}

function decodeManifest([first, ...rest]: readonly string[]): Manifest {
  const head = decodeManifestHead(first)
  return { ...head, files: [...decodeManifestFiles(rest, head.facts)] }
}

test('a manifest reads back as it was written, one line a file', () => {
  assert.equal(lines(manifest).length, 4)
  assert.ok(lines(manifest).every((line) => !line.includes('\n')))
  assert.deepEqual(decodeManifest(lines(manifest)), manifest)
})

test('fields that later versions may add are ignored', () => {
  const [head = '', ...files] = lines(manifest)
  const extended = [head, ...files].map((line) => JSON.stringify({ added: [1], ...(JSON.parse(line) as object) }))
  assert.deepEqual(decodeManifest(extended), manifest)
})

test('what is wrong is named by line and field', () => {
  const cases: readonly [(values: Values) => void, RegExp][] = [
    [(line) => set(line[0], ['facts', 'stopLsn'], '1'), /line 1\.facts\.stopLsn must be an LSN, but is "1"/],
    [(line) => set(line[0], ['facts', 'stopLsn'], '0/1'), /line 1\.facts\.stopLsn is before startLsn/],
    [(line) => set(line[0], ['facts', 'timeline'], 0), /line 1\.facts\.timeline must be a whole number of at least 1/],
    [(line) => set(line[0], ['facts', 'kind'], 'half'), /line 1\.facts\.kind must be one of full, incremental/],
    [
      (line) => set(line[0], ['facts', 'packs', '0', 'sha256'], 'xyz'),
      /line 1\.facts\.packs\[0\]\.sha256 must be like/,
    ],
    [(line) => set(line[0], ['facts', 'startedAt'], 'soon'), /line 1\.facts\.startedAt must be a time/],
    [(line) => set(line[0], ['facts', 'fileCount'], 4), /lists 3 of 4 files/],
    [(line) => set(line[0], ['facts', 'pageChecksums'], 1), /line 1\.facts\.pageChecksums must be true or false/],
    [(line) => set(line[0], ['backupLabel'], undefined), /line 1\.backupLabel must be a text, but is missing/],
    [(line) => set(line[1], ['path'], '../etc/passwd'), /line 2\.path leaves the data directory/],
    [(line) => set(line[1], ['path'], '/etc/passwd'), /line 2\.path leaves the data directory/],
    [(line) => set(line[2], ['map'], []), /line 3\.map does not cover exactly the 8192 bytes/],
    [(line) => set(line[2], ['map', '0', '1'], 2), /line 3\.map does not cover exactly the 8192 bytes/],
    [(line) => set(line[2], ['map', '0', '2'], 2), /line 3 refers to pack 2 of 2/],
    [(line) => set(line[2], ['map', '0', '4'], 32), /line 3\.map has an impossible run/],
    [(line) => set(line[2], ['map', '0'], [0, 1, 1, 5]), /line 3\.map\[0\] must be 5 numbers/],
    [(line) => set(line[2], ['hashes'], 'AAEC'), /line 3\.hashes is not of a file of 8192 bytes/],
    [(line) => set(line[2], ['size'], 8000), /line 3\.map does not cover exactly the 8000 bytes/],
    [(line) => set(line[3], ['size'], -1), /line 4\.size must be a whole number/],
    [(line) => set(line[3], ['parts'], 'all'), /line 4\.parts must be a list/],
    [(line) => set(line[3], ['kind'], 'symlink'), /line 4\.kind must be one of directory, pages, whole/],
  ]
  for (const [change, message] of cases) {
    const values = lines(manifest).map((line) => JSON.parse(line) as Record<string, unknown>)
    change(values)
    const changed = values.map((value) => JSON.stringify(value))
    assert.throws(
      () => decodeManifest(changed),
      (error) => error instanceof Malformed && message.test(error.message),
      String(message),
    )
  }
  assert.throws(() => decodeManifest([]), /the manifest is empty/)
  assert.throws(() => decodeManifest(['{']), /line 1 is not JSON/)
})

test('no single removed line or character goes unnoticed, or changes anything', () => {
  const text = lines(manifest)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(), (number, position) => {
      const line = text[number] ?? ''
      const cut = line.slice(0, position % line.length) + line.slice((position % line.length) + 1)
      try {
        decodeManifest(text.with(number, cut))
      } catch (error) {
        assert.ok(error instanceof Malformed, String(error))
      }
      assert.throws(() => decodeManifest(text.toSpliced(number, 1)), Malformed)
    }),
  )
})

test('a commit reads back as it was written', () => {
  const commit = { committedAt: at, manifest: pack, facts }
  assert.deepEqual(commitFromJson(JSON.parse(JSON.stringify(commitToJson(commit)))), commit)
})

test('facts are the same only when every one of them is', () => {
  assert.ok(sameFacts(facts, { ...facts, labels: { ...facts.labels } }))
  const others: Partial<BackupFacts>[] = [
    { stopLsn: (facts.stopLsn + 1n) as Lsn },
    { labels: {} },
    { packs: facts.packs.toReversed() },
    { damagedPages: [] },
    { node: 'n' },
  ]
  for (const other of others) assert.ok(!sameFacts(facts, { ...facts, ...other }), JSON.stringify(Object.keys(other)))
})

type Values = Record<string, unknown>[]

function set(target: unknown, way: readonly string[], value: unknown): void {
  const [name = '', ...rest] = way
  const container = target as Record<string, unknown>
  if (rest.length > 0) set(container[name], rest, value)
  else container[name] = value
}
