import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireSystemIdentifier } from '../../postgres/control-file.ts'
import type { ClusterIdentity } from '../../repository/cluster-identity.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import type { Repository } from '../../repository/repository.ts'
import { readWalSegment } from '../../repository/wal-objects.ts'
import type { WalThreads } from '../../repository/wal-threads.ts'
import { isWorthRetrying } from '../../repository/worth-retrying.ts'
import type { Clock } from '../../std/clock.ts'
import { isFault } from '../../std/fault.ts'
import { retry } from '../../std/retry.ts'
import { classifyWalFile, segmentFileName } from '../../wal/core/segment.ts'
import type { SegmentNumber } from '../../wal/core/segment.ts'
import { fetchWalFile, storedCluster } from './fetch-file.ts'
import type { FetchRequest, Fetched } from './fetch-file.ts'
import { placeFile, syncFile } from './place-file.ts'

const aheadBytes = 128 * 1024 * 1024
const longestAhead = 8

export interface FetchOptions {
  readonly repository: Repository
  readonly cluster: string
  readonly threads?: WalThreads | undefined
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Fetches files for a recovering server, and the segments behind the one it asked for already into a directory, from which
 * they are moved into their place. Only whole segments come early: of an unfinished one there may be more in a moment.
 */
export class FetchQueue {
  readonly #options: FetchOptions
  readonly #directory: string
  readonly #early = new Map<string, Promise<string | undefined>>()
  #identity: ClusterIdentity | undefined

  constructor(directory: string, options: FetchOptions) {
    this.#directory = directory
    this.#options = options
  }

  /** `stillWanted` is asked right before the file is put into its place: nobody may come upon it unasked. */
  async fetch(
    { name, path, dataDirectory }: { readonly name: string; readonly path: string; readonly dataDirectory: string },
    stillWanted: () => boolean,
  ): Promise<'placed' | 'absent'> {
    const identity = (this.#identity ??= await identityForServer(this.#options))
    const early = this.#early.get(name)
    this.#early.delete(name)
    this.#fetchAhead(name, identity)
    const moveFrom = await early
    if (moveFrom !== undefined && (await exists(moveFrom))) {
      await requireSystemIdentifier(dataDirectory, identity.systemIdentifier)
      if (stillWanted()) await placeFile(path, { moveFrom })
      return 'placed'
    }
    const fetched = await fetchForServer({ name, dataDirectory, identity }, this.#options)
    if (fetched.kind === 'absent') return 'absent'
    if (stillWanted()) await placeFile(path, fetched.bytes)
    return 'placed'
  }

  #fetchAhead(name: string, identity: ClusterIdentity): void {
    const wanted = this.#namesBehind(name, identity)
    for (const [other, coming] of this.#early) {
      if (wanted.includes(other)) continue
      this.#early.delete(other)
      void coming.then((file) => (file === undefined ? undefined : rm(file, { force: true })))
    }
    for (const next of wanted) {
      if (!this.#early.has(next)) this.#early.set(next, this.#fetchEarly(next))
    }
  }

  #namesBehind(name: string, { walSegmentBytes }: ClusterIdentity): readonly string[] {
    const file = classifyWalFile(name, walSegmentBytes)
    if (file?.kind !== 'segment') return [...this.#early.keys()]
    const most = Math.min(longestAhead, Math.floor(aheadBytes / walSegmentBytes))
    return Array.from({ length: most }, (_, index) =>
      segmentFileName(file.timeline, (file.segment + BigInt(index + 1)) as SegmentNumber, walSegmentBytes),
    )
  }

  /** Undefined when it is not there, or when something is in the way: that is found out when it is asked for. */
  async #fetchEarly(name: string): Promise<string | undefined> {
    const { repository, cluster, threads, signal } = this.#options
    const file = join(this.#directory, name)
    try {
      const bytes = await readWalSegment(repository, { cluster, name }, { threads, signal })
      await writeFile(file, bytes, { mode: 0o600 })
      await syncFile(file)
      return file
    } catch (error) {
      if (isFault(error, repositoryFaults['repository-wal-missing'])) {
        // So that it is looked for again with the next request.
        this.#early.delete(name)
      }
      await rm(file, { force: true })
      return undefined
    }
  }
}

/**
 * One file for the server of a data directory; a store that does not answer is asked again for a while. Another cluster's
 * server is refused: it would take this WAL for the end of its own.
 */
export async function fetchForServer(
  wanted: { readonly name: string; readonly dataDirectory: string; readonly identity: ClusterIdentity },
  options: FetchOptions,
): Promise<Fetched> {
  const { name, dataDirectory, identity } = wanted
  const { repository, cluster, threads, signal } = options
  await requireSystemIdentifier(dataDirectory, identity.systemIdentifier)
  const mode: FetchRequest['mode'] = (await exists(join(dataDirectory, 'standby.signal'))) ? 'standby' : 'recovery'
  const request = { repository, cluster, identity, name, mode }
  return await retried(options, () => fetchWalFile(request, { threads, signal }))
}

/** What the repository has under the cluster's name, asked again for a while as above. */
export async function identityForServer(options: FetchOptions): Promise<ClusterIdentity> {
  return await retried(options, () => storedCluster(options))
}

function retried<Result>({ clock, signal }: FetchOptions, work: () => Promise<Result>): Promise<Result> {
  return retry(work, {
    clock,
    signal,
    attempts: 6,
    firstWaitMs: 200,
    longestWaitMs: 5000,
    random: Math.random,
    worthwhile: isWorthRetrying,
  })
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
