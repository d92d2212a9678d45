import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Clock } from '../../std/clock.ts'
import type { Log, LogFields } from '../../std/log.ts'

const firstWaitMs = 500
const longestWaitMs = 30_000
const stopPatienceMs = 15_000
const keptErrorLength = 4000

/** Where the program is and what it runs with. */
export interface ChildProgram {
  readonly repository: string
  /** The program's own file. */
  readonly program: string
  readonly configFile: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
}

/** A hidden command that runs as long as it is wanted, for one repository, and prints a report a line. */
export interface ReportingCommand<Report> {
  readonly command: 'archiver' | 'copier'
  /** What is reported of it until it reports itself. */
  readonly notHeardOfYet: Report
  /** It got as far as doing its work: when it ends, it is started again soon. */
  readonly works: (report: Report) => boolean
  /** What is logged when `change` is not what it was. */
  readonly news: (report: Report) => {
    readonly change: readonly unknown[]
    readonly level: 'info' | 'warn' | 'error'
    readonly fields: LogFields
  }
  /** Undefined when it does not run. */
  readonly onReport: (report: Report | undefined) => void
  /** Given for each process a way to tell it that there is something to do. */
  readonly onStart?: ((wake: () => void) => void) | undefined
}

/** Keeps such a process running until the signal aborts; one that ends is started again, after growing waits. */
export async function keepReporting<Report>(
  where: ChildProgram,
  what: ReportingCommand<Report>,
  signal: AbortSignal,
): Promise<void> {
  const log = where.log.with({ repository: where.repository })
  let waitMs = firstWaitMs
  while (!signal.aborted) {
    const { worked, exitCode, lastError } = await runOnce({ ...where, log }, what, signal)
    what.onReport(undefined)
    if (signal.aborted) return
    log.error(`${what.command} ended`, { exitCode, reason: lastError })
    waitMs = worked ? firstWaitMs : Math.min(longestWaitMs, waitMs * 2)
    await where.clock.sleep(waitMs, { signal }).catch(() => undefined)
  }
}

interface ChildEnd {
  readonly worked: boolean
  readonly exitCode: number | null
  readonly lastError: string
}

function runOnce<Report>(where: ChildProgram, what: ReportingCommand<Report>, signal: AbortSignal): Promise<ChildEnd> {
  const { program, configFile, repository, environment, log } = where
  return new Promise((resolve) => {
    // Its standard input ends when this process dies, and that ends it.
    const args = [program, what.command, '--config', configFile, '--repository', repository]
    const child = spawn(process.execPath, args, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] })
    what.onReport(what.notHeardOfYet)
    what.onStart?.(() => void child.stdin.write('\n'))
    let worked = false
    let lastError = ''
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
      const report = JSON.parse(line) as Report
      worked ||= what.works(report)
      what.onReport(report)
      const { change, level, fields } = what.news(report)
      const news = JSON.stringify(change)
      if (news === last) return
      last = news
      log[level](`${what.command} state changed`, fields)
    })
    child.on('error', (error) => (lastError = error.message))
    child.on('close', (exitCode) => {
      signal.removeEventListener('abort', stop)
      clearTimeout(timer)
      resolve({ worked, exitCode, lastError: lastError.trim() })
    })
    if (signal.aborted) stop()
  })
}
