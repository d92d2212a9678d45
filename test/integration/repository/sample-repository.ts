import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beginBackup, type BackupSession } from '../../../src/repository/backup-session.ts'
import { claimCluster } from '../../../src/repository/cluster-identity.ts'
import type { PackReference } from '../../../src/repository/core/backup-facts.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import type { ManifestFile } from '../../../src/repository/core/manifest.ts'
import { buildPageMap, pagesPerRecord, type PageRun } from '../../../src/repository/core/page-map.ts'
import { createPackBuilder } from '../../../src/repository/pack-builder.ts'
import { createRepository, type Repository } from '../../../src/repository/repository.ts'
import { putHistory, putTail, putWalSegment } from '../../../src/repository/wal-objects.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'

/** A small repository of made-up data with every kind of object in it, and what a restore must give back. */
export const passphrase = 'correct horse battery staple'
export const cluster = 'main'
export const walSegmentBytes = 1024 * 1024
export const systemIdentifier = 7_300_000_000_000_000_001n
export const timeline = 1 as TimelineId
export const segmentName = '000000010000000000000003'
export const startLsn = (3n * BigInt(walSegmentBytes) + 40n) as Lsn
export const stopLsn = (3n * BigInt(walSegmentBytes) + 5000n) as Lsn
export const tailStart = (4n * BigInt(walSegmentBytes)) as Lsn
const pageBytes = 8192
const modifiedAt = Date.parse('2026-01-02T03:04:05Z') as EpochMs

export interface ScratchStore extends AsyncDisposable {
  readonly root: string
  readonly store: ObjectStore
}

export async function scratchStore(): Promise<ScratchStore> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-repository-'))
  const store = await openFileSystemStore({ root, clock: systemClock })
  return {
    root,
    store,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]()
      await rm(root, { recursive: true, force: true })
    },
  }
}

export function createSampleRepository(store: ObjectStore): Promise<Repository> {
  return createRepository(store, { passphrase: new Secret(passphrase), clock: systemClock })
}

/** The content of every file of the sample backup. */
export const sampleFiles: ReadonlyMap<string, Uint8Array> = new Map([
  ['PG_VERSION', Buffer.from('18\n')],
  ['base/5/1259', pages(71, 1)],
  ['base/5/2600', pages(3, 2)],
  ['base/5/empty', new Uint8Array(0)],
  ['global/pg_control', Buffer.alloc(8192, 'control')],
  ['log/big.log', repeated(300_000, 5)],
])
export const sampleDirectories: readonly string[] = ['base', 'base/5', 'global', 'log', 'pg_wal']

/** Takes the sample backup: two packs, a page file over three records, a whole file in pieces over both packs. */
export async function takeSampleBackup(
  repository: Repository,
  onBegun: (session: BackupSession) => void = () => {},
): Promise<Commit> {
  const session = await beginBackup(repository, { cluster, kind: 'full' }, { clock: systemClock })
  onBegun(session)
  const packs: PackReference[] = []
  const files: ManifestFile[] = sampleDirectories.map((path) => ({ kind: 'directory', path, mode: 0o700 }))
  const first = createPackBuilder(repository.keyring, session.packObject(0))
  const second = createPackBuilder(repository.keyring, session.packObject(1))
  for (const [path, content] of sampleFiles) {
    const common = { path, sizeBytes: content.length, mode: 0o600, modifiedAt }
    if (/^base\/5\/\d+$/.test(path)) {
      files.push({ ...common, kind: 'pages', map: addPages(first, path, content) })
    } else if (path === 'log/big.log') {
      const half = 150_000
      const record = first.add({ type: 'file', meta: { path, offset: 0 }, plain: content.subarray(0, half) })
      const next = second.add({ type: 'file', meta: { path, offset: half }, plain: content.subarray(half) })
      const parts = [
        { pack: 0, record, count: 1 },
        { pack: 1, record: next, count: 1 },
      ]
      files.push({ ...common, kind: 'whole', parts })
    } else if (content.length === 0) {
      files.push({ ...common, kind: 'whole', parts: [] })
    } else {
      const record = second.add({ type: 'file', meta: { path, offset: 0 }, plain: content })
      files.push({ ...common, kind: 'whole', parts: [{ pack: 1, record, count: 1 }] })
    }
  }
  for (const builder of [first, second]) packs.push(await session.putPack(builder.finish()))
  const dataBytes = [...sampleFiles.values()].reduce((sum, content) => sum + content.length, 0)
  const facts = {
    startedAt: modifiedAt,
    stoppedAt: (modifiedAt + 1000) as EpochMs,
    systemIdentifier,
    postgresVersion: 180004,
    node: 'node1',
    role: 'primary',
    timeline,
    startLsn,
    stopLsn,
    walSegmentBytes,
    pageBytes,
    pageChecksums: true,
    damagedPages: [],
    labels: { reason: 'test', '1': 'numbers sort first in JavaScript' },
    dataBytes,
    packs,
  } as const
  return session.commit({ facts, backupLabel: sampleLabel, tablespaceMap: null, tablespaces: [], files })
}

export const sampleLabel = 'START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n'
export const sampleSegment = repeated(walSegmentBytes, 11)
export const sampleTail = noise(20_000, 12)
export const sampleHistory = Buffer.from('1\t0/350000\tno recovery target specified\n')

/** A segment, the next one's tail in two overlapping parts, and a history file. */
export async function archiveSampleWal(repository: Repository): Promise<void> {
  await claimCluster(repository, { cluster, systemIdentifier, walSegmentBytes })
  await putWalSegment(repository, { cluster, name: segmentName, bytes: sampleSegment })
  for (const [from, to] of [
    [0, 12_000],
    [8_000, 20_000],
  ] as const) {
    const range = { startLsn: (tailStart + BigInt(from)) as Lsn, endLsn: (tailStart + BigInt(to)) as Lsn }
    await putTail(repository, { cluster, timeline, ...range, bytes: sampleTail.subarray(from, to) })
  }
  await putHistory(repository, { cluster, timeline: 2 as TimelineId, bytes: sampleHistory })
}

function addPages(
  builder: ReturnType<typeof createPackBuilder>,
  path: string,
  content: Uint8Array,
): readonly PageRun[] {
  const recordBytes = pagesPerRecord * pageBytes
  const runs: PageRun[] = []
  for (let at = 0; at < content.length; at += recordBytes) {
    const plain = content.subarray(at, at + recordBytes)
    const [firstPage, pageCount] = [at / pageBytes, plain.length / pageBytes]
    const record = builder.add({ type: 'pages', meta: { path, firstPage, pageCount }, plain })
    runs.push({ startPage: firstPage, count: pageCount, pack: 0, record, slot: 0 })
  }
  return buildPageMap(runs)
}

function pages(count: number, seed: number): Uint8Array {
  const content = Buffer.alloc(count * pageBytes)
  for (let page = 0; page < count; page += 1)
    content.write(`relation ${seed}, page ${page} `.repeat(40), page * pageBytes)
  return content
}

/** Bytes that compress well, without being all the same. */
function repeated(length: number, seed: number): Uint8Array {
  return Buffer.alloc(length, noise(1021, seed))
}

/** Bytes that do not compress. */
function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    bytes[index] = state >>> 24
  }
  return bytes
}
