import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { segmentNameAt } from '../../repository/core/object-names.ts'
import type { Repository } from '../../repository/repository.ts'
import { readHistory } from '../../repository/wal-objects.ts'
import { startWalThreads } from '../../repository/wal-threads.ts'
import type { WalThreads } from '../../repository/wal-threads.ts'
import type { Clock } from '../../std/clock.ts'
import { diskFault } from '../../std/durable-file.ts'
import { Fault } from '../../std/fault.ts'
import { historyFileName } from '../../wal/core/segment.ts'
import { goesOnAsTablespace, makeTablespacesInPlace } from '../core/tablespaces-in-wal.ts'
import type { TablespaceInWal } from '../core/tablespaces-in-wal.ts'
import type { WalPiece } from '../core/wal-walk.ts'
import { restoreFaults } from '../faults.ts'
import type { PlannedRestore } from '../plan-from-repository.ts'
import { fetchPiece } from './fetch-piece.ts'
import { feedFiles, restoreCommand, restoreScript, restoreScriptName } from './restore-script.ts'

export interface WalFeedOptions {
  /** A directory of the feed's own; it is emptied first and removed at the end. */
  readonly directory: string
  /** Segments fetched before they are wanted. */
  readonly aheadSegments: number
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/**
 * Feeds the planned WAL to a recovering server: a few segments ahead of it into a directory, from which the
 * `restore_command` copies. Segments behind it are removed and fetched again should they be wanted again.
 */
export interface WalFeed extends AsyncDisposable {
  readonly restoreCommand: string
  /** Start of the planned segment that was asked for last. */
  readonly wantedLsn: bigint | undefined
  /** Why no more WAL comes, once that is so. Recovery then stops at the next file. */
  readonly failure: unknown
  /** Tablespaces that the WAL creates; the copy has them in its own directory. */
  readonly tablespacesInPlace: readonly TablespaceInWal[]
}

const pollMs = 20
/** Segments fetched at the same time. */
const concurrency = 3

export async function openWalFeed(
  repository: Repository,
  planned: PlannedRestore,
  options: WalFeedOptions,
): Promise<WalFeed> {
  const feed = new RunningFeed(repository, planned, options)
  try {
    await feed.begin()
  } catch (error) {
    await feed[Symbol.asyncDispose]()
    throw error
  }
  return feed
}

class RunningFeed implements WalFeed {
  readonly restoreCommand: string
  failure: unknown
  readonly #repository: Repository
  readonly #planned: PlannedRestore
  readonly #options: WalFeedOptions
  readonly #names: readonly string[]
  readonly #places: ReadonlyMap<string, number>
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #ready = new Set<number>()
  readonly #failed = new Map<number, { readonly error: unknown }>()
  /** Place in the plan of the segment that was asked for last; -1 before the first. */
  #wanted = -1
  readonly #tablespaces = new Map<number, TablespaceInWal>()
  readonly #threads: WalThreads
  #running: Promise<void> = Promise.resolve()

  constructor(repository: Repository, planned: PlannedRestore, options: WalFeedOptions) {
    this.#repository = repository
    this.#planned = planned
    this.#options = options
    this.#threads = startWalThreads(repository, Math.max(1, Math.min(concurrency, availableParallelism() - 1)))
    this.#names = planned.plan.wal.map((piece) =>
      segmentNameAt(piece.timeline, piece.segmentStart, planned.plan.segmentBytes),
    )
    this.#places = new Map(this.#names.map((name, index) => [name, index]))
    this.#signal =
      options.signal === undefined ? this.#stop.signal : AbortSignal.any([this.#stop.signal, options.signal])
    this.restoreCommand = restoreCommand(join(options.directory, restoreScriptName))
  }

  get wantedLsn(): bigint | undefined {
    return this.#planned.plan.wal[this.#wanted]?.segmentStart
  }

  get tablespacesInPlace(): readonly TablespaceInWal[] {
    return [...this.#tablespaces.values()]
  }

  async begin(): Promise<void> {
    const { directory } = this.#options
    const { cluster, histories } = this.#planned
    await rm(directory, { recursive: true, force: true })
    await mkdir(join(directory, feedFiles.ready), { recursive: true, mode: 0o700 })
    for (const timeline of histories) {
      const bytes = await readHistory(this.#repository, { cluster, timeline }, { signal: this.#signal })
      await this.#put(historyFileName(timeline), bytes)
    }
    const all = [...histories.map((timeline) => historyFileName(timeline)), ...this.#names]
    await writeFile(join(directory, feedFiles.plan), `${all.join('\n')}\n`)
    await writeFile(join(directory, feedFiles.pid), `${process.pid}\n`)
    await writeFile(join(directory, restoreScriptName), restoreScript, { mode: 0o700 })
    this.#running = this.#run().catch((error: unknown) => this.#fail(error))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the feed was closed'))
    await this.#running
    await this.#threads[Symbol.asyncDispose]()
    await rm(this.#options.directory, { recursive: true, force: true })
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const fetching = new Map<number, Promise<void>>()
    try {
      for (;;) {
        this.#signal.throwIfAborted()
        await this.#lookWhatIsWanted()
        // What cannot be had ahead of recovery matters only if recovery comes that far.
        const failed = this.#failed.get(this.#wanted)
        if (failed !== undefined) throw failed.error
        await this.#removeUnwanted()
        for (const index of this.#toFetch()) {
          if (fetching.size >= concurrency) break
          if (fetching.has(index)) continue
          const done = this.#fetch(index).finally(() => fetching.delete(index))
          fetching.set(index, done)
        }
        await Promise.race([clock.sleep(pollMs, { signal: this.#signal }), ...fetching.values()])
      }
    } finally {
      this.#stop.abort(new Error('the feed has ended'))
      await Promise.allSettled(fetching.values())
    }
  }

  #toFetch(): readonly number[] {
    const from = Math.max(0, this.#wanted)
    const to = Math.min(this.#names.length - 1, from + this.#options.aheadSegments)
    const window = Array.from({ length: Math.max(0, to - from + 1) }, (_, offset) => from + offset)
    return window.filter((index) => !this.#ready.has(index) && !this.#failed.has(index))
  }

  async #lookWhatIsWanted(): Promise<void> {
    const { directory } = this.#options
    const request = (await readFile(join(directory, feedFiles.wanted), 'utf8').catch(() => '')).trimEnd()
    const [name = '', asker = ''] = request.split(' ')
    this.#wanted = this.#places.get(name) ?? this.#wanted
    // Who was served has moved the file away. Somebody who still waits for it asks for it a second time.
    if (!this.#ready.has(this.#wanted) || !isAlive(asker)) return
    const moved = await stat(join(directory, feedFiles.ready, name)).then(
      () => false,
      () => true,
    )
    if (moved && isAlive(asker)) this.#ready.delete(this.#wanted)
  }

  async #removeUnwanted(): Promise<void> {
    const from = this.#wanted - 1
    const to = Math.max(0, this.#wanted) + this.#options.aheadSegments
    for (const index of [...this.#ready].filter((candidate) => candidate < from || candidate > to)) {
      this.#ready.delete(index)
      await rm(join(this.#options.directory, feedFiles.ready, this.#names[index] as string), { force: true })
    }
  }

  async #fetch(index: number): Promise<void> {
    const piece = this.#planned.plan.wal[index] as WalPiece
    const { clock } = this.#options
    try {
      const options = { clock, signal: this.#signal, threads: this.#threads }
      const bytes = await fetchPiece(this.#repository, this.#planned, piece, options)
      await this.#keepTablespacesHere(index, bytes)
      await this.#put(this.#names[index] as string, bytes)
      this.#ready.add(index)
    } catch (error) {
      this.#failed.set(index, { error })
    }
  }

  async #keepTablespacesHere(index: number, bytes: Uint8Array): Promise<void> {
    const { tablespaces, cut } = makeTablespacesInPlace(bytes)
    for (const tablespace of tablespaces) this.#tablespaces.set(tablespace.oid, tablespace)
    const next = this.#planned.plan.wal[index + 1]
    if (cut === undefined || next === undefined) return
    if (cut !== 'creates') {
      const options = { clock: this.#options.clock, signal: this.#signal }
      const behind = await fetchPiece(this.#repository, this.#planned, next, options)
      if (!goesOnAsTablespace(behind, cut.managerAt)) return
    }
    const name = this.#names[index] as string
    throw new Fault(
      restoreFaults['restore-tablespace-in-wal'],
      `Cannot replay ${name}: it creates a tablespace in a record that goes on in the next file`,
      { details: { name } },
    )
  }

  /** Whole or not at all, as seen by the script. */
  async #put(name: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#options.directory, feedFiles.ready, name)
    try {
      await writeFile(`${path}.new`, bytes, { mode: 0o600 })
      await rename(`${path}.new`, path)
    } catch (error) {
      throw diskFault(error, path)
    }
  }

  async #fail(error: unknown): Promise<void> {
    this.failure = error
    const { directory } = this.#options
    const reason = error instanceof Error ? error.message : String(error)
    await writeFile(join(directory, `${feedFiles.failed}.new`), reason)
    await rename(join(directory, `${feedFiles.failed}.new`), join(directory, feedFiles.failed))
  }
}

function isAlive(pid: string): boolean {
  try {
    return /^[0-9]+$/.test(pid) && process.kill(Number(pid), 0)
  } catch {
    return false
  }
}
