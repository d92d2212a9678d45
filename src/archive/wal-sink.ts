import { segmentNameAt } from '../repository/core/object-names.ts'
import type { TailName } from '../repository/core/object-names.ts'
import type { Repository } from '../repository/repository.ts'
import { deleteTail, putTail, putWalSegment } from '../repository/wal-objects.ts'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { expectDuration, flushTime } from './core/flush-time.ts'
import { archiveFaults } from './faults.ts'
import type { Spool, SpoolFile } from './spool.ts'

export interface WalSinkOptions {
  readonly repository: Repository
  readonly cluster: string
  readonly spool: Spool
  readonly segmentBytes: number
  readonly timeline: TimelineId
  /** Who the WAL comes from, for messages. */
  readonly from: string
  /** A segment's start. */
  readonly startLsn: Lsn
  /** What the repository already has of the first segment, from its start on, and the parts that hold it. */
  readonly stored: { readonly bytes: Uint8Array; readonly parts: readonly TailName[] }
  readonly flushMs: number
  readonly clock: Clock
  /** Ends a waiting {@link WalSink.append}. What came in is still brought into the repository until disposal. */
  readonly signal: AbortSignal
  /** Called whenever more is durable, and when the repository did not take something and it will be tried again. */
  readonly onChange: (error?: unknown) => void
  /** Called when it cannot go on; whoever waits for more WAL need not. */
  readonly onFailure: (error: unknown) => void
  /** Whether an error of the repository is for good. */
  readonly isFatal: (error: unknown) => boolean
}

/** Whole segments that may wait for the repository before the stream has to. */
const maxWaitingSegments = 3
/** Parts of one segment after which they are joined into one: a quiet server must not fill the store with crumbs. */
const maxParts = 32
const firstRetryMs = 250
const longestRetryMs = 10_000

/**
 * Takes WAL of one timeline as it is received and brings it into the repository: whole segments as they become whole,
 * and of the unfinished one whatever has come in, before it is `flushMs` old ({@link flushTime}). What the repository does not take is tried again and
 * nothing is dropped; meanwhile {@link append} waits, the stream stops, and the server's slot keeps the WAL.
 */
export class WalSink implements AsyncDisposable {
  readonly #options: WalSinkOptions
  readonly #stop = new AbortController()
  readonly #waiting: Segment[] = []
  readonly #running: Promise<void>
  #current: Segment | undefined
  #receivedLsn: Lsn
  #durableLsn: Lsn
  /** When the oldest byte came in that is not durable yet. */
  #pendingSince: number | undefined
  #lastReceivedAt = 0
  #lastFlushedAt = 0
  #flushTakesMs = 0
  #flushUpTo = 0n as Lsn
  #failure: unknown
  #changed = Promise.withResolvers<void>()

  constructor(options: WalSinkOptions) {
    this.#options = options
    this.#receivedLsn = options.startLsn
    this.#durableLsn = (options.startLsn + BigInt(options.stored.bytes.length)) as Lsn
    this.#running = this.#run()
  }

  get receivedLsn(): Lsn {
    return this.#receivedLsn
  }

  /** Everything before it is in the repository. Ahead of what was received while a stored beginning comes in again. */
  get durableLsn(): Lsn {
    return this.#durableLsn
  }

  get pendingMs(): number {
    return this.#pendingSince === undefined ? 0 : this.#options.clock.monotonic() - this.#pendingSince
  }

  /** What lies in the spool, and what may lie there before the stream has to wait. */
  get spooled(): { readonly usedBytes: number; readonly limitBytes: number } {
    const { segmentBytes } = this.#options
    const usedBytes = this.#waiting.length * segmentBytes + (this.#current?.receivedBytes ?? 0)
    return { usedBytes, limitBytes: (maxWaitingSegments + 1) * segmentBytes }
  }

  /** Takes WAL that follows what came before. Waits when too much is under way. */
  async append(data: Uint8Array): Promise<void> {
    for (let rest = data; rest.length > 0;) {
      this.#throwFailure()
      const segment = (this.#current ??= await this.#begin())
      const piece = rest.subarray(0, this.#options.segmentBytes - segment.receivedBytes)
      await segment.file.append(piece)
      segment.receivedBytes += piece.length
      rest = rest.subarray(piece.length)
      this.#receivedLsn = (this.#receivedLsn + BigInt(piece.length)) as Lsn
      await this.#compareWithStored(segment)
      if (this.#receivedLsn > this.#durableLsn) this.#notePending()
      if (segment.receivedBytes === this.#options.segmentBytes) await this.#complete(segment)
    }
  }

  /** Brings what was received so far into the repository now rather than when it is due. */
  flushSoon(): void {
    this.#flushUpTo = this.#receivedLsn
    this.#notify()
  }

  /** Resolves when all that was received is in the repository. */
  async settle(signal: AbortSignal): Promise<void> {
    this.flushSoon()
    await this.#waitUntil(signal, () => this.#durableLsn >= this.#receivedLsn && this.#waiting.length === 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#notify()
    await this.#running
    for (const segment of [...this.#waiting, ...(this.#current === undefined ? [] : [this.#current])]) {
      await segment.file.close()
    }
  }

  async #begin(): Promise<Segment> {
    const { timeline, segmentBytes, startLsn, stored, spool } = this.#options
    const name = segmentNameAt(timeline, this.#receivedLsn, segmentBytes)
    const first = this.#receivedLsn === startLsn
    return {
      name,
      startLsn: this.#receivedLsn,
      file: await spool.begin(name),
      receivedBytes: 0,
      completedAt: 0,
      flushedBytes: first ? stored.bytes.length : 0,
      parts: first ? [...stored.parts] : [],
      stored: first ? stored.bytes : undefined,
    }
  }

  /** What the repository already has must be what the server sends, or two servers have written this timeline. */
  async #compareWithStored(segment: Segment): Promise<void> {
    const { stored } = segment
    if (stored === undefined || segment.receivedBytes < stored.length) return
    if (stored.length === 0 || Buffer.compare(stored, await segment.file.read(0, stored.length)) === 0) {
      segment.stored = undefined
      return
    }
    // Not forgotten: so nothing of this segment is flushed any more, however long the sink lives.
    const { timeline, from, repository } = this.#options
    const { description } = repository.store
    throw new Fault(
      archiveFaults['archive-diverged'],
      `Cannot archive segment ${segment.name} of ${from}: ${description} holds other WAL of it, from another server that writes the same history`,
      {
        details: {
          segment: segment.name,
          timeline,
          startLsn: formatLsn(segment.startLsn),
          server: from,
          store: description,
        },
      },
    )
  }

  async #complete(segment: Segment): Promise<void> {
    await segment.file.finish()
    segment.completedAt = this.#options.clock.monotonic()
    this.#current = undefined
    this.#waiting.push(segment)
    this.#notify()
    await this.#waitUntil(this.#options.signal, () => this.#waiting.length <= maxWaitingSegments)
  }

  async #waitUntil(signal: AbortSignal, done: () => boolean): Promise<void> {
    const onAbort = (): void => this.#notify()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!done()) {
        signal.throwIfAborted()
        this.#throwFailure()
        await this.#changed.promise
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Brings one thing after the other into the repository until it is stopped. What fails is decided anew after a while:
   * a segment whose tail could not be flushed may be whole by then.
   */
  async #run(): Promise<void> {
    const { clock, isFatal, onChange, onFailure } = this.#options
    const { signal } = this.#stop
    let waitMs = firstRetryMs
    while (!signal.aborted) {
      try {
        await this.#step()
        waitMs = firstRetryMs
      } catch (error) {
        if (signal.aborted) return
        if (isFatal(error)) {
          this.#failure = error
          this.#notify()
          onFailure(error)
          return
        }
        onChange(error)
        await clock.sleep(waitMs, { signal }).catch(() => undefined)
        waitMs = Math.min(longestRetryMs, waitMs * 2)
      }
    }
  }

  async #step(): Promise<void> {
    const [whole] = this.#waiting
    if (whole !== undefined) return this.#storeSegment(whole)
    if (this.#current !== undefined && this.#flushIsDue(this.#current)) return this.#flushTail(this.#current)
    return this.#rest()
  }

  #flushIsDue(segment: Segment): boolean {
    // Before the stored beginning was compared nothing may be added to it.
    if (segment.stored !== undefined) return false
    if (segment.receivedBytes <= segment.flushedBytes) return false
    return this.#durableLsn < this.#flushUpTo || this.#untilFlushMs() <= 0
  }

  #notePending(): void {
    this.#lastReceivedAt = this.#options.clock.monotonic()
    if (this.#pendingSince !== undefined) return
    this.#pendingSince = this.#lastReceivedAt
    this.#notify()
  }

  #untilFlushMs(): number {
    const { clock, flushMs } = this.#options
    if (this.#pendingSince === undefined) return flushMs
    const view = {
      flushMs,
      pendingSince: this.#pendingSince,
      lastReceivedAt: this.#lastReceivedAt,
      lastFlushedAt: this.#lastFlushedAt,
      expectedMs: this.#flushTakesMs,
    }
    return flushTime(view) - clock.monotonic()
  }

  /** Until something changes, or until the unfinished segment is to be flushed. */
  async #rest(): Promise<void> {
    const over = new AbortController()
    const waitMs = Math.max(10, this.#untilFlushMs())
    const asleep = this.#options.clock.sleep(waitMs, { signal: over.signal }).catch(() => undefined)
    await Promise.race([this.#changed.promise, asleep])
    over.abort()
  }

  async #storeSegment(segment: Segment): Promise<void> {
    const { repository, cluster, segmentBytes } = this.#options
    const { signal } = this.#stop
    const bytes = await segment.file.read(0, segmentBytes)
    await putWalSegment(repository, { cluster, name: segment.name, bytes }, { signal })
    for (const part of segment.parts) await deleteTail(repository, { cluster, ...part }, { signal })
    await segment.file.remove()
    this.#waiting.shift()
    this.#advance((segment.startLsn + BigInt(segmentBytes)) as Lsn, segment.completedAt)
  }

  async #flushTail(segment: Segment): Promise<void> {
    const { repository, cluster, timeline } = this.#options
    const { signal } = this.#stop
    const joined = segment.parts.length >= maxParts
    const from = joined ? 0 : segment.flushedBytes
    const to = segment.receivedBytes
    const takenAt = this.#options.clock.monotonic()
    const part: TailName = {
      timeline,
      startLsn: (segment.startLsn + BigInt(from)) as Lsn,
      endLsn: (segment.startLsn + BigInt(to)) as Lsn,
    }
    await putTail(repository, { cluster, ...part, bytes: await segment.file.read(from, to) }, { signal })
    this.#lastFlushedAt = this.#options.clock.monotonic()
    this.#flushTakesMs = expectDuration(this.#flushTakesMs, this.#lastFlushedAt - takenAt)
    const superseded = joined ? segment.parts.splice(0) : []
    segment.parts.push(part)
    segment.flushedBytes = to
    this.#advance(part.endLsn, takenAt)
    for (const old of superseded) await deleteTail(repository, { cluster, ...old }, { signal })
  }

  /** What is not durable now came in after `takenAt`. */
  #advance(durableLsn: Lsn, takenAt: number): void {
    if (durableLsn > this.#durableLsn) this.#durableLsn = durableLsn
    this.#pendingSince = this.#receivedLsn > this.#durableLsn ? takenAt : undefined
    this.#notify()
    this.#options.onChange()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #notify(): void {
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers<void>()
    resolve()
  }
}

interface Segment {
  readonly name: string
  readonly startLsn: Lsn
  readonly file: SpoolFile
  receivedBytes: number
  /** When it became whole; 0 before. */
  completedAt: number
  /** From the segment's start, durable as tail parts. */
  flushedBytes: number
  readonly parts: TailName[]
  /** The stored beginning that is still to be compared with what comes in. */
  stored: Uint8Array | undefined
}
