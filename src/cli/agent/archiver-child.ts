import type { ArchiverReport } from '../../archive/archiver-process.ts'
<<<<<<< HEAD
import type { Clock } from '../../std/clock.ts'
import type { Log } from '../../std/log.ts'

const firstWaitMs = 500
const longestWaitMs = 30_000
const stopPatienceMs = 15_000
const keptErrorLength = 4000

export interface ArchiverChildOptions {
  readonly repository: string
  /** The program's own file. */
  readonly program: string
  readonly configFile: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
  /** Undefined when it does not run. */
  readonly onReport: (report: ArchiverReport | undefined) => void
}

/** Keeps an archiver process running until the signal aborts; one that ends is started again, after growing waits. */
export async function keepArchiving(options: ArchiverChildOptions, signal: AbortSignal): Promise<void> {
  const log = options.log.with({ repository: options.repository })
  let waitMs = firstWaitMs
  while (!signal.aborted) {
    const { streamed, exitCode, lastError, lastReport } = await runOnce({ ...options, log }, signal)
    // Why it cannot go on is worth more than that it does not run.
    const says = lastReport?.state === 'stopped' && lastReport.error !== null && !signal.aborted
    options.onReport(says ? lastReport : undefined)
    if (signal.aborted) return
    log.error('archiver ended', { exitCode, reason: lastError })
    waitMs = streamed ? firstWaitMs : Math.min(longestWaitMs, waitMs * 2)
    await options.clock.sleep(waitMs, { signal }).catch(() => undefined)
  }
}
=======
import { keepReporting, type ChildProgram } from './reporting-child.ts'
>>>>>>> main

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

<<<<<<< HEAD
interface ChildEnd {
  /** Whether it got as far as receiving WAL. */
  readonly streamed: boolean
  readonly exitCode: number | null
  readonly lastError: string
  readonly lastReport: ArchiverReport | undefined
}

function runOnce(options: ArchiverChildOptions, signal: AbortSignal): Promise<ChildEnd> {
  const { program, configFile, repository, environment, log } = options
  return new Promise((resolve) => {
    // Its standard input ends when this process dies, and that ends it.
    const args = [program, 'archiver', '--config', configFile, '--repository', repository]
    const child = spawn(process.execPath, args, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] })
    options.onReport({ ...notHeardOfYet, saidAt: options.clock.wall() })
    let streamed = false
    let lastError = ''
    let lastReport: ArchiverReport | undefined
    let timer: NodeJS.Timeout | undefined
    const stop = (): void => {
      child.kill('SIGTERM')
      timer = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
    }
    signal.addEventListener('abort', stop, { once: true })
    child.stdin.on('error', () => undefined)
    child.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (lastError = (lastError + text).slice(-keptErrorLength)))
    let last = ''
    createInterface({ input: child.stdout }).on('line', (line) => {
      const report = JSON.parse(line) as ArchiverReport
      lastReport = report
      streamed ||= report.state === 'streaming'
      options.onReport(report)
      const { state, timeline, gaps, error } = report
      const news = JSON.stringify([state, timeline, gaps, error])
      if (news === last) return
      last = news
      const level = gaps.length > 0 ? 'error' : error === null ? 'info' : 'warn'
      log[level]('archiver state changed', { state, timeline, durableLsn: report.durableLsn, gaps, reason: error })
    })
    child.on('error', (error) => (lastError = error.message))
    child.on('close', (exitCode) => {
      signal.removeEventListener('abort', stop)
      clearTimeout(timer)
      resolve({ streamed, exitCode, lastError: lastError.trim(), lastReport })
    })
    if (signal.aborted) stop()
  })
=======
/** Keeps an archiver process running until the signal aborts. `onReport` gets undefined while none runs. */
export function keepArchiving(
  options: ChildProgram & { readonly onReport: (report: ArchiverReport | undefined) => void },
  signal: AbortSignal,
): Promise<void> {
  const { onReport } = options
  return keepReporting(
    options,
    {
      command: 'archiver',
      notHeardOfYet,
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
>>>>>>> main
}
