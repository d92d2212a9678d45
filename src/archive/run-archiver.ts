import { describeTarget } from '../postgres/connection-target.ts'
import type { ConnectionTarget } from '../postgres/connection-target.ts'
import { openReplicationConnection } from '../postgres/replication/replication-connection.ts'
import type { ReplicationConnection } from '../postgres/replication/replication-connection.ts'
import type { WalStream, WalStreamItem } from '../postgres/replication/wal-stream.ts'
import { repositoryFaults } from '../repository/faults.ts'
import { readClusterIdentity } from '../repository/cluster-identity.ts'
import { recordGap } from '../repository/gaps.ts'
import { openGaps } from '../repository/open-gaps.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { archiveFaults } from './faults.ts'
import { drainSpool } from './drain-spool.ts'
import { catchUp } from './catch-up.ts'
import type { CatchUp, Refusal } from './catch-up.ts'
import type { ResumePoint } from './core/resume-point.ts'
import type { WalDonor } from './donors/donor.ts'
import { createLagMeter } from './lag-meter.ts'
import type { ArchiveMeasures, LagMeter } from './lag-meter.ts'
import { isWalRemoved, locate, locateOldest } from './locate.ts'
import type { Location } from './locate.ts'
import { openSpool } from './spool.ts'
import type { Spool } from './spool.ts'
import { WalSink } from './wal-sink.ts'
import type { WalSinkOptions } from './wal-sink.ts'

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
  /** Who else may have WAL that the source has lost; asked only then. */
  readonly findDonors?: ((signal: AbortSignal) => Promise<readonly WalDonor[]>) | undefined
  /** How long donors that do not answer are asked again before what only they may have counts as lost; 30 s. */
  readonly donorPatienceMs?: number | undefined
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
  readonly measures: ArchiveMeasures
  readonly spool: { readonly usedBytes: number; readonly limitBytes: number }
  /** WAL that is lost to the repository and behind which there is no backup yet: one has to be taken. Alarm. */
  readonly gaps: readonly ArchiveGap[]
  /** Why it is not going on, or why the repository does not take something. */
  readonly error: unknown
}

export interface ArchiveGap {
  /** That of the record in the repository's gap ledger; the same after a restart. */
  readonly id: string
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

const defaultDonorPatienceMs = 30_000
/** How often it is looked whether a backup has been taken behind a gap. */
const gapCheckMs = 10_000

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
  readonly #meter: LagMeter
  #gaps: readonly ArchiveGap[] = []
  /** Since when WAL is wanted that the server has lost. */
  #lostSince: number | undefined
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
    this.#meter = createLagMeter(options.clock)
  }

  async run(): Promise<void> {
    const over = new AbortController()
    const watching = this.#watchGaps(AbortSignal.any([this.#options.signal, over.signal]))
    try {
      await this.#sessions()
    } finally {
      over.abort()
      await watching
    }
    this.#enter('stopped')
  }

  async #sessions(): Promise<void> {
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
  }

  /** A gap that an earlier run has found is told again until a backup is taken behind it. */
  async #watchGaps(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    let looked = false
    while (!signal.aborted) {
      if (!looked || this.#gaps.length > 0) looked = await this.#lookForGaps(signal)
      await clock.sleep(gapCheckMs, { signal }).catch(() => undefined)
    }
  }

  async #lookForGaps(signal: AbortSignal): Promise<boolean> {
    const { repository, cluster } = this.#options
    const known = this.#gaps
    try {
      const open = await openGaps(repository, cluster, { signal })
      // What was found meanwhile is looked at the next time.
      const found = this.#gaps.filter((gap) => !known.includes(gap) && !open.some(({ id }) => id === gap.id))
      this.#gaps = [...open, ...found]
      if (this.#gaps.length > 0 || known.length > 0) this.#tell()
      return true
    } catch {
      // A repository that cannot be read is reported by whoever writes into it.
      return false
    }
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
  ): Promise<'look-again' | 'server-gone'> {
    try {
      return await this.#stream(connection, location, hardStop, onAbort)
    } catch (error) {
      if (!isWalRemoved(error)) throw error
      const { point, segmentBytes } = location
      const oldest = await locateOldest(connection, this.#options.slot, point, segmentBytes)
      const found = await this.#catchUp(location, oldest, hardStop.signal)
      if (found.kind === 'advanced') return 'look-again'
      await this.#recordGap(location, oldest, found.refusals)
      const fresh = { ...location, point: oldest, stored: { bytes: new Uint8Array(0), parts: [] } }
      return await this.#stream(connection, fresh, hardStop, onAbort)
    }
  }

  /** Asks whoever else may have what the server has lost. Somebody who cannot be asked is waited for, but not for ever. */
  async #catchUp(location: Location, oldest: ResumePoint, signal: AbortSignal): Promise<CatchUp> {
    const { clock, findDonors, donorPatienceMs = defaultDonorPatienceMs } = this.#options
    this.#lostSince ??= clock.monotonic()
    const donors = (await findDonors?.(signal)) ?? []
    const openSink = (onFailure: (error: unknown) => void): WalSink =>
      this.#openSink(location, { signal, onFailure, onChange: (error) => this.#onCatchUpChange(error) })
    const found = await catchUp(location, oldest, { donors, openSink, signal })
    const silent = found.kind === 'nothing' ? found.refusals.filter(({ unknown }) => unknown) : []
    if (silent.length > 0 && clock.monotonic() - this.#lostSince < donorPatienceMs) {
      throw stillMissing(location.point, silent)
    }
    this.#lostSince = undefined
    return found
  }

  #onCatchUpChange(error: unknown): void {
    this.#error = error
    this.#tell()
  }

  /** On record before anything behind it is stored: from then on its beginning could only be concluded. */
  async #recordGap(location: Location, oldest: ResumePoint, refusals: readonly Refusal[]): Promise<void> {
    const { repository, cluster, signal, clock, source } = this.#options
    const { point } = location
    if (oldest.durableLsn <= point.durableLsn) return
    const others = refusals.map(({ donor, reason }) => `; nor did ${donor}: ${reason}`).join('')
    const gap = await recordGap(
      repository,
      cluster,
      {
        timeline: oldest.timeline,
        fromTimeline: point.timeline,
        startLsn: point.durableLsn,
        endLsn: oldest.durableLsn,
        foundAt: clock.wall(),
        because: `the server ${describeTarget(source)} no longer had it${others}`,
      },
      { signal },
    )
    this.#gaps = [...this.#gaps.filter(({ id }) => id !== gap.id), gap]
    this.#tell()
  }

  #openSink(
    { point, segmentBytes, stored }: Location,
    options: Pick<WalSinkOptions, 'signal' | 'onChange' | 'onFailure'>,
  ): WalSink {
    const { repository, cluster, clock, flushMs = defaultFlushMs } = this.#options
    const { timeline, segmentStart: startLsn } = point
    const from = describeTarget(this.#options.source)
    const where = { repository, cluster, spool: this.#spool, segmentBytes, timeline, startLsn, stored, from }
    return new WalSink({ ...where, flushMs, clock, isFatal, ...options })
  }

  async #stream(
    connection: ReplicationConnection,
    location: Location,
    hardStop: AbortController,
    onAbort: () => void,
  ): Promise<'look-again' | 'server-gone'> {
    const { slot, signal } = this.#options
    const { timeline, segmentStart: startLsn } = location.point
    const stream = await connection.startPhysicalReplication({ slot, startLsn, timeline, statusIntervalMs: 1000 })
    const onChange = (error?: unknown): void => this.#onSinkChange(stream, error)
    await using sink = this.#openSink(location, { signal, onChange, onFailure: (error) => hardStop.abort(error) })
    this.#sink = sink
    this.#timeline = timeline
    this.#serverLsn = location.serverLsn
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
      return last === 'timeline-end' ? 'look-again' : 'server-gone'
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
      this.#meter.heard()
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
    this.#meter.note({ serverLsn: this.#serverLsn, durableLsn: this.#durableLsn })
    this.#options.onStatus?.({
      state: this.#state,
      timeline: this.#timeline,
      serverLsn: this.#serverLsn,
      receivedLsn: this.#receivedLsn,
      durableLsn: this.#durableLsn,
      tailAgeMs: this.#sink?.pendingMs ?? 0,
      measures: this.#meter.read(),
      spool: this.#sink?.spooled ?? { usedBytes: 0, limitBytes: 0 },
      gaps: [...this.#gaps],
      error: this.#error,
    })
  }
}

function stillMissing(point: ResumePoint, silent: readonly Refusal[]): Fault {
  const from = formatLsn(point.durableLsn)
  const who = silent.map(({ donor, reason }) => `${donor} (${reason})`).join(', ')
  return new Fault(
    archiveFaults['archive-donor-silent'],
    `Cannot archive timeline ${point.timeline} from ${from} yet: the server has removed that WAL, and it may be at ${who}`,
    { details: { timeline: point.timeline, startLsn: from, donors: silent.map(({ donor }) => donor) } },
  )
}

/** Another try cannot help, or the program itself is wrong. */
function isFatal(error: unknown): boolean {
  if (error instanceof Fault) return error.kind.exitClass === 'bug' || fatalKinds.some((kind) => isFault(error, kind))
  return !(error instanceof Error && 'syscall' in error)
}
