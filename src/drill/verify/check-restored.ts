import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { readControlFile } from '../../postgres/control-file.ts'
import type { Commit } from '../../repository/core/commit.ts'
import type { VerificationLevel } from '../../repository/core/proof-name.ts'
import type { Repository } from '../../repository/repository.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import {
  checkByAmcheck,
  checkDatabases,
  checkLargestTables,
  checkQueries,
  listDatabases,
  nameRelations,
  type CopyCheckOptions,
  type SqlCheck,
} from './check-copy.ts'
import { provePointInTime, targetBetween } from './check-point-in-time.ts'
import type { WalFacts } from './check-wal.ts'
import type { Examination, Seen } from './examination.ts'
import {
  aimAt,
  judgeFailure,
  lackOfRoom,
  openSandboxServer,
  type SandboxRequest,
  type SandboxRunOptions,
  type SandboxServer,
} from './sandbox-server.ts'
import { scanPagesOfDirectory, type PageScan } from './scan-pages-of-directory.ts'
import { pageBytes } from '../../backup/page/checksum-page.ts'
import { parseRelationFile } from '../../backup/core/relation-file.ts'
import { postgresFaults } from '../../postgres/faults.ts'
import { Fault, isFault } from '../../std/fault.ts'
import type { Installation } from '../../postgres/installation.ts'

/** What the levels that restore need besides the backup. */
export interface CopyRequest extends Omit<SandboxRequest, 'installation'> {
  /** Finds a PostgreSQL of the backup's release; throws `postgres-not-found`. */
  readonly installation: () => Promise<Installation>
  readonly largestTables: number
  readonly checks: readonly SqlCheck[]
  readonly statementMs: number
  readonly amcheckMs: number
}

/**
 * L3 and L4: the backup is restored into a sandbox, recovered, opened, read; for L4 it is first recovered to a place
 * between two commits, and queried. Gives the version of the server that did it, or null when none did.
 */
export async function checkRestored(
  repository: Repository,
  subject: { readonly commit: Commit; readonly wal: WalFacts; readonly level: VerificationLevel },
  request: CopyRequest,
  examination: Examination,
  options: SandboxRunOptions,
): Promise<string | null> {
  const { commit, wal, level } = subject
  const prepared = await prepare(commit, level, request, examination)
  if (prepared === undefined) return null
  const latest = aimAt(wal.planned, { kind: 'latest' })
  const { pair } = wal
  const paused = level >= 4 && pair !== undefined ? aimAt(wal.planned, targetBetween(pair)) : undefined
  await using stack = new AsyncDisposableStack()
  const server = await restore(repository, paused ?? latest, { ...request, ...prepared, level }, examination, options)
  if (server === undefined) return null
  stack.use(server)
  if (level >= 4) {
    await examination.check(4, 'point in time', async (): Promise<Seen> => {
      if (pair === undefined || paused === undefined) {
        const text = 'the WAL behind the backup has no two commits, so that there is no moment between them'
        return { outcome: 'skipped', text, needed: false }
      }
      return await provePointInTime(server.connection(), pair, options)
    })
  }
  if (!(await openAtEnd(server, { latest, again: paused !== undefined, level }, examination))) {
    return prepared.installation.version
  }
  await look(server, { ...request, ...prepared, level, commit }, examination, options)
  return prepared.installation.version
}

async function prepare(
  commit: Commit,
  level: VerificationLevel,
  { installation, directory }: CopyRequest,
  examination: Examination,
): Promise<{ readonly installation: Installation } | undefined> {
  let lacking = await lackOfRoom(directory, commit)
  let found: Installation | undefined
  if (lacking === undefined) {
    try {
      found = await installation()
    } catch (error) {
      const absent = ['postgres-not-found', 'postgres-embedded-unusable'] as const
      if (!absent.some((code) => isFault(error, postgresFaults[code]))) throw error
      lacking = (error as Error).message
    }
  }
  if (found !== undefined) return { installation: found }
  await skip(level, examination, lacking ?? '')
  return undefined
}

/** What is left out must be named (law L11). */
async function skip(level: VerificationLevel, examination: Examination, text: string): Promise<void> {
  await examination.check(3, 'restore', async () => ({ outcome: 'skipped', text }))
  if (level >= 4)
    await examination.check(4, 'queries', async () => ({ outcome: 'skipped', text: 'nothing was restored' }))
}

async function restore(
  repository: Repository,
  planned: PlannedRestore,
  request: SandboxRequest & { readonly level: VerificationLevel },
  examination: Examination,
  options: SandboxRunOptions,
): Promise<SandboxServer | undefined> {
  const action = planned.plan.target.kind === 'latest' ? 'promote' : 'pause'
  let server: SandboxServer | undefined
  await examination.check(3, 'restore', async () => {
    try {
      server = await openSandboxServer(repository, planned, { ...request, action }, options)
      const { restoredBytes, restoreMs } = server
      return { outcome: 'passed', text: `${describeBytes(restoredBytes)} in ${describeElapsed(restoreMs)}` }
    } catch (error) {
      options.signal?.throwIfAborted()
      return failure(error, examination)
    }
  })
  if (server === undefined && request.level >= 4) {
    await examination.check(4, 'queries', async () => ({ outcome: 'skipped', text: 'there is no restored copy' }))
  }
  return server
}

function failure(error: unknown, examination: Examination): Seen {
  const { outcome, fault } = judgeFailure(error)
  if (outcome === 'failed') examination.findFault(3, fault)
  return { outcome, text: fault.message }
}

/** Recovery to the end of the archive, and the copy opened for writing. */
async function openAtEnd(
  server: SandboxServer,
  {
    latest,
    again,
    level,
  }: { readonly latest: PlannedRestore; readonly again: boolean; readonly level: VerificationLevel },
  examination: Examination,
): Promise<boolean> {
  const end = formatLsn(latest.plan.walEndLsn)
  const outcome = await examination.check(3, 'recovery', async () => {
    try {
      const elapsedMs = again ? await server.goOn(latest) : server.recoveryMs
      const went = again ? ', from the place between two commits' : ''
      const text = `replayed all WAL to ${end}${went}, and opened, in ${describeElapsed(elapsedMs)}`
      return { outcome: 'passed', text }
    } catch (error) {
      return failure(error, examination)
    }
  })
  if (outcome === 'passed') return true
  if (level >= 4)
    await examination.check(4, 'queries', async () => ({ outcome: 'skipped', text: 'the copy did not open' }))
  return false
}

async function look(
  server: SandboxServer,
  request: CopyRequest extends infer Request
    ? Omit<Request, 'installation'> & {
        readonly installation: Installation
        readonly level: VerificationLevel
        readonly commit: Commit
      }
    : never,
  examination: Examination,
  options: SandboxRunOptions,
): Promise<void> {
  const { level, commit, installation, statementMs } = request
  const { signal } = options
  const copy = { signal, statementMs }
  const connection = server.connection()
  const databases = await findDatabases(connection, examination, copy)
  const names = await nameRelations(connection, databases, copy)
  if (level >= 4) {
    await checkDatabases(connection, databases, examination, copy)
    await checkLargestTables(connection, { databases, count: request.largestTables }, examination, copy)
    await checkQueries(connection, request.checks, examination, copy)
  }
  await checkByAmcheck(connection, installation, examination, { signal, deadlineMs: request.amcheckMs })
  await server.stop()
  await examination.check(3, 'page checksums', async (): Promise<Seen> => {
    if (!commit.facts.pageChecksums) {
      return { outcome: 'skipped', text: 'the cluster has no page checksums', needed: false }
    }
    const control = await readControlFile(server.dataDirectory)
    const scan = await scanPagesOfDirectory(server.dataDirectory, {
      blocksPerSegment: control.segmentPages,
      signal,
      onBytes: (bytes) => options.onBytes?.('reading every page', bytes, commit.facts.dataBytes),
    })
    return judgePages(scan, names, commit, examination)
  })
}

/** A catalogue that is damaged keeps everybody out; the pages are looked at all the same. */
async function findDatabases(
  connection: ConnectionTarget,
  examination: Examination,
  options: CopyCheckOptions,
): Promise<readonly string[]> {
  let found: readonly string[] = []
  await examination.check(3, 'first connection', async () => {
    try {
      found = await listDatabases(connection, options)
      return { outcome: 'passed', text: `${found.length} databases` }
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!(error instanceof Fault)) throw error
      examination.findFault(3, error)
      return { outcome: 'failed', text: error.message }
    }
  })
  return found
}

function judgePages(
  { bad, pages, files }: PageScan,
  names: ReadonlyMap<string, string>,
  commit: Commit,
  examination: Examination,
): Seen {
  const known = new Set(commit.facts.damagedPages.map(({ path, page }) => `${path} ${page}`))
  for (const { path, block } of bad) {
    const file = parseRelationFile(path)
    const relation = file === undefined ? undefined : names.get(`${file.directory}/${file.relation}`)
    const before = known.size > 0 ? '; the backup had found damaged pages on the server when it was taken' : ''
    const message = `the checksum of the page is wrong${before}`
    examination.find({ level: 3, message, path, block, relation: relation ?? null })
  }
  if (bad.length > 0) return { outcome: 'failed', text: `${bad.length} of ${pages} pages have a wrong checksum` }
  return { outcome: 'passed', text: `${pages} pages (${describeBytes(pages * pageBytes)}) in ${files} files` }
}
