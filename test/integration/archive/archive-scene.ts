import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runArchiver } from '../../../src/archive/run-archiver.ts'
import type { ArchiverOptions, ArchiverStatus } from '../../../src/archive/run-archiver.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import { walCoverage } from '../../../src/repository/core/wal-coverage.ts'
import { createRepository } from '../../../src/repository/repository.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { readWalSegment, walInventory } from '../../../src/repository/wal-objects.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { parseLsn } from '../../../src/wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { createTestServer } from '../../support/postgres.ts'
import type { TestServer, TestServerOptions } from '../../support/postgres.ts'

export const cluster = 'main'
export const slot = 'holdfast_archive'
export const passphrase = new Secret('correct horse battery staple')

export interface ArchiveScene extends AsyncDisposable {
  readonly server: TestServer
  readonly repository: Repository
  readonly repositoryRoot: string
  readonly spoolDirectory: string
}

/** A running server and an empty repository beside it. */
export async function openArchiveScene(
  options: TestServerOptions & { readonly decorate?: (store: ObjectStore) => ObjectStore } = {},
): Promise<ArchiveScene> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await createTestServer(options))
  const repositoryRoot = join(server.directory, 'repository')
  const plain = await openFileSystemStore({ root: repositoryRoot, createRoot: true, clock: systemClock })
  const created = await createRepository(plain, { passphrase, clock: systemClock })
  const owned = stack.move()
  return {
    server,
    repository: { ...created, store: options.decorate?.(plain) ?? plain },
    repositoryRoot,
    spoolDirectory: join(server.directory, 'spool'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export interface StartedArchiver extends AsyncDisposable {
  readonly statuses: readonly ArchiverStatus[]
  /** Resolves with the first status, past ones included, that satisfies the condition. */
  until(condition: (status: ArchiverStatus) => boolean): Promise<ArchiverStatus>
  readonly ended: Promise<void>
}

/** An archiver in this process; disposing it stops it and throws what it ended with. */
export function startArchiver(scene: ArchiveScene, options: Partial<ArchiverOptions> = {}): StartedArchiver {
  const stop = new AbortController()
  const statuses: ArchiverStatus[] = []
  let told = Promise.withResolvers<void>()
  const ended = runArchiver({
    source: scene.server.replicationTarget,
    slot,
    repository: scene.repository,
    cluster,
    spoolDirectory: scene.spoolDirectory,
    flushMs: 50,
    clock: systemClock,
    signal: stop.signal,
    ...options,
    onStatus: (status) => {
      statuses.push(status)
      told.resolve()
      told = Promise.withResolvers()
    },
  })
  ended.catch(() => undefined)
  return {
    statuses,
    ended,
    until: async (condition) => {
      for (;;) {
        const found = statuses.find(condition)
        if (found !== undefined) return found
        const next = told.promise
        await Promise.race([next, ended.then(() => assert.fail('the archiver has ended'))])
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await ended
    },
  }
}

export async function currentLsn(sql: Sql): Promise<Lsn> {
  const [row] = await sql.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
  return parseLsn(row?.lsn ?? '') as Lsn
}

/** How far the repository reaches without a gap; fails when there is one. */
export async function durableEnd(scene: ArchiveScene, timeline: number, walSegmentBytes = 2 ** 24): Promise<Lsn> {
  const inventory = await walInventory(scene.repository, cluster)
  const coverage = walCoverage(inventory, { timeline: timeline as TimelineId, walSegmentBytes })
  assert.deepEqual(coverage.gaps, [])
  return coverage.ranges.at(-1)?.endLsn ?? (0n as Lsn)
}

/** Compares every stored segment that the server still has with the server's file; gives how many were compared. */
export async function compareSegments({ repository, server }: ArchiveScene): Promise<number> {
  const directory = join(server.dataDirectory, 'pg_wal')
  const present = new Set(await readdir(directory))
  const { segments } = await walInventory(repository, cluster)
  let compared = 0
  for (const { name } of segments) {
    if (!present.has(name)) continue
    const stored = await readWalSegment(repository, { cluster, name })
    assert.equal(Buffer.compare(stored, await readFile(join(directory, name))), 0, `segment ${name}`)
    compared += 1
  }
  return compared
}
