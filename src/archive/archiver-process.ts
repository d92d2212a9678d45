import type { EpochMs } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import type { Lsn } from '../wal/core/lsn.ts'
import { runArchiver } from './run-archiver.ts'
import type { ArchiverOptions, ArchiverStatus } from './run-archiver.ts'

/** A status as it goes over a pipe: one JSON object a line, positions as PostgreSQL writes them. */
export interface ArchiverReport {
  readonly state: ArchiverStatus['state']
  readonly timeline: number | null
  readonly serverLsn: string | null
  readonly receivedLsn: string | null
  readonly durableLsn: string | null
  readonly tailAgeMs: number
  /** When this was said, by the clock of the machine; as are the times below. Milliseconds since 1970. */
  readonly saidAt: number
  readonly heardAt: number | null
  readonly caughtUpAt: number | null
  readonly bytesPerSecond: number
  readonly spoolBytes: number
  readonly spoolLimitBytes: number
  /** WAL lost to the repository behind which there is no backup yet; `id` is that of its record. */
  readonly gaps: readonly ReportedGap[]
  readonly error: { readonly code: string | null; readonly message: string; readonly hint: string | null } | null
}

export interface ReportedGap {
  readonly id: string
  readonly timeline: number
  readonly startLsn: string
  readonly endLsn: string
}

/**
 * The archiver as a process of its own: runs until SIGTERM, SIGINT, or the end of `input`, which tells that whoever
 * started it is gone, and writes its status to `output`, at most once a second while nothing but positions change.
 */
export async function archiverProcess(
  options: Omit<ArchiverOptions, 'signal' | 'onStatus'>,
  io: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream },
): Promise<void> {
  const stop = new AbortController()
  const onStop = (): void => stop.abort(new Error('the archiver was asked to stop'))
  process.once('SIGTERM', onStop)
  process.once('SIGINT', onStop)
  io.input.once('end', onStop)
  io.input.resume()
  let lastTold = { at: 0, what: '' }
  try {
    await runArchiver({
      ...options,
      signal: stop.signal,
      onStatus: (status) => {
        const report = reportOf(status, options.clock.wall())
        const now = options.clock.monotonic()
        const what = JSON.stringify([report.state, report.timeline, report.gaps, report.error])
        if (what === lastTold.what && now - lastTold.at < 1000) return
        lastTold = { at: now, what }
        io.output.write(`${JSON.stringify(report)}\n`)
      },
    })
  } finally {
    process.off('SIGTERM', onStop)
    process.off('SIGINT', onStop)
    io.input.off('end', onStop)
    io.input.pause()
  }
}

export function reportOf(status: ArchiverStatus, now: EpochMs): ArchiverReport {
  const { error } = status
  const fault = error instanceof Fault ? error : undefined
  const message = error instanceof Error ? error.message : String(error)
  return {
    state: status.state,
    timeline: status.timeline ?? null,
    serverLsn: textOf(status.serverLsn),
    receivedLsn: textOf(status.receivedLsn),
    durableLsn: textOf(status.durableLsn),
    tailAgeMs: Math.round(status.tailAgeMs),
    saidAt: now,
    ...status.measures,
    spoolBytes: status.spool.usedBytes,
    spoolLimitBytes: status.spool.limitBytes,
    gaps: status.gaps.map(({ id, timeline, startLsn, endLsn }) => ({
      id,
      timeline,
      startLsn: formatLsn(startLsn),
      endLsn: formatLsn(endLsn),
    })),
    error: error === undefined ? null : { code: fault?.code ?? null, message, hint: fault?.hint ?? null },
  }
}

function textOf(lsn: Lsn | undefined): string | null {
  return lsn === undefined ? null : formatLsn(lsn)
}
