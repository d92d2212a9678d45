import type { ArchiverReport } from '../../archive/archiver-process.ts'
import { keepReporting, type ChildProgram } from './reporting-child.ts'

const notHeardOfYet: ArchiverReport = {
  state: 'connecting',
  timeline: null,
  serverLsn: null,
  receivedLsn: null,
  durableLsn: null,
  tailAgeMs: 0,
  saidAt: 0,
  heardAt: null,
  caughtUpAt: null,
  bytesPerSecond: 0,
  spoolBytes: 0,
  spoolLimitBytes: 0,
  gaps: [],
  error: null,
}

/** Keeps an archiver process running until the signal aborts. `onReport` gets undefined while none runs. */
export function keepArchiving(
  options: ChildProgram & { readonly onReport: (report: ArchiverReport | undefined) => void },
  signal: AbortSignal,
): Promise<void> {
  let last: ArchiverReport | undefined
  const onReport = (report: ArchiverReport | undefined): void => {
    // Why it cannot go on is worth more than that it does not run.
    const explains = report === undefined && !signal.aborted && last?.state === 'stopped' && last.error !== null
    last = explains ? last : report
    options.onReport(last)
  }
  return keepReporting(
    options,
    {
      command: 'archiver',
      notHeardOfYet: { ...notHeardOfYet, saidAt: options.clock.wall() },
      works: ({ state }) => state === 'streaming',
      news: ({ state, timeline, durableLsn, gaps, error }) => ({
        change: [state, timeline, gaps, error],
        level: gaps.length > 0 ? 'error' : error === null ? 'info' : 'warn',
        fields: { state, timeline, durableLsn, gaps, reason: error },
      }),
      onReport,
    },
    signal,
  )
}
