import type { ConnectionTarget } from '../postgres/connection-target.ts'
import { openReplicationConnection } from '../postgres/replication/replication-connection.ts'
import type { ReplicationConnection } from '../postgres/replication/replication-connection.ts'
import type { WalStream, WalStreamItem } from '../postgres/replication/wal-stream.ts'
import { repositoryFaults } from '../repository/faults.ts'
import { readClusterIdentity } from '../repository/cluster-identity.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { archiveFaults } from './faults.ts'
import { drainSpool } from './drain-spool.ts'
import { isWalRemoved, locate, locateOldest } from './locate.ts'
import type { Location } from './locate.ts'
import { openSpool } from './spool.ts'
import type { Spool } from './spool.ts'
import { WalSink } from './wal-sink.ts'

export interface ArchiverOptions {
  /** The primary, as a role that may replicate. */
  readonly source: ConnectionTarget
  /** A physical slot of the archiver's own; made where it is missing. */
  readonly slot: string
  readonly repository: Repository
  /** The cluster's name in the repository. */
  readonly cluster: string
  /** A directory of the archiver's own for WAL on its way; holds a few segments. */
  readonly spoolDirectory: string
  /** How old WAL may become before it is in the repository; by default 5 s. */
  readonly flushMs?: number | undefined
  readonly clock: Clock
  readonly onStatus?: ((status: ArchiverStatus) => void) | undefined
  readonly signal: AbortSignal
}

export interface ArchiverStatus {
  readonly state: 'connecting' | 'streaming' | 'retrying' | 'stopped'
  readonly timeline: TimelineId | undefined
  /** The end of the server's WAL as far as we heard. */
  readonly serverLsn: Lsn | undefined
  readonly receivedLsn: Lsn | undefined
  /** Everything before it is in the repository. */
  readonly durableLsn: Lsn | undefined
  /** How old the oldest received WAL is that is not in the repository yet. */
  readonly tailAgeMs: number
  /** WAL that was gone at the server before it was received: a new backup has to be taken. Alarm. */
  readonly gaps: readonly ArchiveGap[]
  /** Why it is not going on, or why the repository does not take something. */
  readonly error: unknown
}

export interface ArchiveGap {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly endLsn: Lsn
}

const defaultFlushMs = 5000
const firstRetryMs = 200
const longestRetryMs = 5000
/** How long the end waits for the repository; what it does not get is kept by the slot. */
const finalFlushMs = 5000
/** A server that stops waits for us this long at most. */
const yieldMs = 3000

const fatalKinds = [
  repositoryFaults['repository-cluster-mismatch'],
  archiveFaults['archive-diverged'],
  repositoryFaults['repository-wal-conflict'],
  repositoryFaults['repository-key-missing'],
  repositoryFaults['repository-format-unsupported'],
  repositoryFaults['repository-name-invalid'],
]

/**
 * Receives a cluster's WAL and brings it into the repository, until the signal aborts. It begins where the repository
 * ends, follows the server's timelines, and tells the server that WAL is flushed only when the repository has it durably,
 * so the slot keeps whatever is not there yet. Trouble with server, spool or repository is reported in the status and
 * tried again; nothing is dropped. WAL that the server no longer has becomes a gap in the status. Throws only what no
 * retry can help: another cluster's server, or one that has written other WAL on the same timeline.
 */
export async function runArchiver(options: ArchiverOptions): Promise<void> {
  const archiver = new Archiver(options, await openSpool(options.spoolDirectory))
  await archiver.run()
}

class Archiver {
  readonly #options: ArchiverOptions
  readonly #spool: Spool
  readonly #gaps: ArchiveGap[] = []
  #state: ArchiverStatus['state'] = 'connecting'
  #sink: WalSink | undefined
  #receivedLsn: Lsn | undefined
  #durableLsn: Lsn | undefined
  #timeline: TimelineId | undefined
  #serverLsn: Lsn | undefined
  #error: unknown
  /** When a session last got so far that it received something: then retries begin short again. */
  #received = false

  constructor(options: ArchiverOptions, spool: Spool) {
    this.#options = options
    this.#spool = spool
  }

  async run(): Promise<void> {
    const { clock, signal } = this.#options
    let waitMs = firstRetryMs
    while (!signal.aborted) {
      this.#received = false
      try {
        this.#enter(this.#error === undefined ? 'connecting' : 'retrying')
        await this.#session()
        this.#error = undefined
      } catch (error) {
        if (!signal.aborted) {
          this.#error = error
          this.#enter(isFatal(error) ? 'stopped' : 'retrying')
          if (isFatal(error)) throw error
        }
      }
      waitMs = this.#received ? firstRetryMs : Math.min(longestRetryMs, waitMs * 2)
      await clock.sleep(waitMs, { signal }).catch(() => undefined)
    }
    this.#enter('stopped')
  }

  async #session(): Promise<void> {
    const { source, signal, clock, repository, cluster, slot } = this.#options
    await this.#emptySpool()
    const hardStop = new AbortController()
    const onAbort = (): void => hardStop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      await using connection = await openReplicationConnection(source, { signal: hardStop.signal, clock })
      while (!signal.aborted) {
        const location = await locate(connection, { repository, cluster, slot, signal: hardStop.signal })
        if ((await this.#streamFrom(connection, location, hardStop, onAbort)) === 'server-gone') return
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      hardStop.abort()
    }
  }

  /** What an earlier session or an earlier run had received is stored before anything else. */
  async #emptySpool(): Promise<void> {
    const { repository, cluster, signal } = this.#options
    if ((await this.#spool.leftovers()).length === 0) return
    const known = await readClusterIdentity(repository, cluster, { signal })
    if (known === undefined) await this.#spool.clear()
    else await drainSpool(repository, cluster, this.#spool, known.systemIdentifier, { signal })
  }

  async #streamFrom(
    connection: ReplicationConnection,
    location: Location,
    hardStop: AbortController,
    onAbort: () => void,
  ): Promise<'timeline-ended' | 'server-gone'> {
    try {
      return await this.#stream(connection, location, hardStop, onAbort)
    } catch (error) {
      if (!isWalRemoved(error)) throw error
      const { point, segmentBytes } = location
      const oldest = await locateOldest(connection, this.#options.slot, point, segmentBytes)
      this.#gaps.push({ timeline: oldest.timeline, startLsn: point.durableLsn, endLsn: oldest.durableLsn })
      const fresh = { ...location, point: oldest, stored: { bytes: new Uint8Array(0), parts: [] } }
      return await this.#stream(connection, fresh, hardStop, onAbort)
    }
  }

  async #stream(
    connection: ReplicationConnection,
    { point, segmentBytes, stored, serverLsn }: Location,
    hardStop: AbortController,
    onAbort: () => void,
  ): Promise<'timeline-ended' | 'server-gone'> {
    const { repository, cluster, slot, clock, signal, flushMs = defaultFlushMs } = this.#options
    const { timeline, segmentStart: startLsn } = point
    const stream = await connection.startPhysicalReplication({ slot, startLsn, timeline, statusIntervalMs: 1000 })
    const onChange = (error?: unknown): void => this.#onSinkChange(stream, error)
    await using sink = new WalSink({
      repository,
      cluster,
      spool: this.#spool,
      segmentBytes,
      timeline,
      startLsn,
      stored,
      flushMs,
      clock,
      signal,
      onChange,
      onFailure: (error) => hardStop.abort(error),
      isFatal,
    })
    this.#sink = sink
    this.#timeline = timeline
    this.#serverLsn = serverLsn
    this.#enter('streaming')
    // From here on an abort ends the stream in order, so that what was received can still be stored.
    const { signal: stopped } = this.#options
    stopped.removeEventListener('abort', onAbort)
    const onStop = (): void => stream.stop()
    stopped.addEventListener('abort', onStop, { once: true })
    if (stopped.aborted) stream.stop()
    try {
      const last = await this.#receive(stream, sink, hardStop)
      await this.#settle(sink)
      return last === 'timeline-end' ? 'timeline-ended' : 'server-gone'
    } finally {
      stopped.removeEventListener('abort', onStop)
      if (stopped.aborted) hardStop.abort(stopped.reason)
      else stopped.addEventListener('abort', onAbort, { once: true })
      this.#sink = undefined
    }
  }

  async #receive(stream: WalStream, sink: WalSink, hardStop: AbortController): Promise<WalStreamItem['kind']> {
    let last: WalStreamItem['kind'] = 'wal'
    for await (const item of stream) {
      last = item.kind
      if (item.kind === 'wal') {
        this.#received = true
        this.#serverLsn = item.serverLsn
        await sink.append(item.data)
      } else if (item.kind === 'keepalive') {
        this.#serverLsn = item.serverLsn
        this.#tell()
        if (item.replyRequested) this.#yieldTo(sink, hardStop)
      }
    }
    return last
  }

  /**
   * We report so often that a server asks only when it is about to stop and waits for us. It gets what the repository
   * takes at once, and is not held up by a repository that takes nothing.
   */
  #yieldTo(sink: WalSink, hardStop: AbortController): void {
    sink.flushSoon()
    const { clock } = this.#options
    const give = async (): Promise<void> => {
      await clock.sleep(yieldMs, { signal: hardStop.signal })
      if (this.#sink !== sink || sink.durableLsn >= sink.receivedLsn) return
      const message = `Cannot store the last WAL before the server stops: the repository did not take it in ${yieldMs} ms`
      hardStop.abort(new Fault(stdFaults['deadline-passed'], message))
    }
    give().catch(() => undefined)
  }

  /** After an abort the repository has a moment to take the rest; the slot keeps what it does not. */
  async #settle(sink: WalSink): Promise<void> {
    const { signal } = this.#options
    const deadline = signal.aborted ? AbortSignal.timeout(finalFlushMs) : signal
    await sink.settle(deadline).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  #onSinkChange(stream: WalStream, error: unknown): void {
    this.#error = error
    const sink = this.#sink
    if (sink !== undefined && sink.durableLsn <= sink.receivedLsn) {
      try {
        stream.sendFeedback({ write: sink.receivedLsn, flush: sink.durableLsn })
      } catch {
        // The connection is lost, which whoever iterates the stream is told as well.
      }
    }
    this.#tell()
  }

  #enter(state: ArchiverStatus['state']): void {
    this.#state = state
    this.#tell()
  }

  #tell(): void {
    this.#receivedLsn = this.#sink?.receivedLsn ?? this.#receivedLsn
    this.#durableLsn = this.#sink?.durableLsn ?? this.#durableLsn
    this.#options.onStatus?.({
      state: this.#state,
      timeline: this.#timeline,
      serverLsn: this.#serverLsn,
      receivedLsn: this.#receivedLsn,
      durableLsn: this.#durableLsn,
      tailAgeMs: this.#sink?.pendingMs ?? 0,
      gaps: [...this.#gaps],
      error: this.#error,
    })
  }
}

/** Another try cannot help, or the program itself is wrong. */
function isFatal(error: unknown): boolean {
  if (error instanceof Fault) return error.kind.exitClass === 'bug' || fatalKinds.some((kind) => isFault(error, kind))
  return !(error instanceof Error && 'syscall' in error)
}
