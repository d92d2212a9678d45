import type { CopierReport } from '../../backup/offsite/copier-process.ts'
import { keepReporting, type ChildProgram } from './reporting-child.ts'

const notHeardOfYet: CopierReport = {
  state: 'connecting',
  currentAt: null,
  walCurrentAt: null,
  backupsMissing: null,
  missingBytes: null,
  newest: null,
  copiedBytes: 0,
  problemCount: 0,
  problems: [],
  error: null,
}

/** Keeps a copier process running until the signal aborts. `onReport` gets undefined while none runs. */
export function keepCopying(
  options: ChildProgram & {
    readonly onReport: (report: CopierReport | undefined) => void
    readonly onStart: (wake: () => void) => void
  },
  signal: AbortSignal,
): Promise<void> {
  const { onReport, onStart } = options
  return keepReporting(
    options,
    {
      command: 'copier',
      notHeardOfYet,
      works: ({ copiedBytes, state }) => copiedBytes > 0 || state === 'current',
      news: ({ state, problems, problemCount, error, newest }) => ({
        // That it copies and has copied, every few seconds, is no news.
        change: [state === 'copying' ? 'current' : state, newest?.id, problems, error],
        level: problemCount > 0 ? 'error' : error === null ? 'info' : 'warn',
        fields: { state, newest: newest?.id, problems, reason: error },
      }),
      onReport,
      onStart,
    },
    signal,
  )
}
