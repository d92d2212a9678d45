import { spawn } from 'node:child_process'
import type { Clock } from '../std/clock.ts'
import { exitCodes } from '../std/fault.ts'
import { lastLines } from '../std/run-program.ts'
import { lowerPriority } from '../std/lower-priority.ts'
import type { RunEnd } from './core/decide-jobs.ts'
import { errorLine } from './core/ledger.ts'

const niceness = 10
const stopPatienceMs = 15_000
const keptOutput = 1 << 20

export interface JobProcess {
  /** The program's own file. */
  readonly program: string
  /** The command and its options; `--json` is added. */
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The bytes that the command's document speaks of. */
  readonly sizeOf: (document: unknown) => number | null
  readonly clock: Clock
}

/** Exit codes after which the same command may do better a little later. */
const passing: ReadonlySet<number> = new Set([exitCodes.failed, exitCodes.busy, exitCodes.unreachable])

/**
 * Runs a command of Holdfast as a process of its own, niced, so that it takes no time from who renews the lease. It is
 * ended when the signal aborts, and ends by itself when this process dies.
 */
export function runJob(job: JobProcess, signal: AbortSignal): Promise<RunEnd & { readonly durationMs: number }> {
  const { program, clock } = job
  const started = clock.monotonic()
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...job.arguments, '--json'], {
      env: { ...job.environment, HOLDFAST_END_WITH_INPUT: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    makeNice(child.pid)
    let stdout = ''
    let stderr = ''
    let failure: string | undefined
    let timer: NodeJS.Timeout | undefined
    const stop = (): void => {
      child.kill('SIGTERM')
      timer = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
    }
    signal.addEventListener('abort', stop, { once: true })
    child.stdin.on('error', () => undefined)
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout = (stdout + text).slice(-keptOutput)))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-keptOutput)))
    child.on('error', (error) => (failure = error.message))
    child.on('close', (exitCode, killedBy) => {
      signal.removeEventListener('abort', stop)
      clearTimeout(timer)
      const durationMs = clock.monotonic() - started
      const document = parse(stdout)
      const told = failure ?? errorOf(document) ?? (killedBy === null ? lastLines(stderr, 1) : `ended by ${killedBy}`)
      resolve({ ...judge({ exitCode, document, told }, job, signal), durationMs })
    })
    if (signal.aborted) stop()
  })
}

function judge(
  end: { readonly exitCode: number | null; readonly document: unknown; readonly told: string },
  { sizeOf }: JobProcess,
  signal: AbortSignal,
): RunEnd {
  const { exitCode, document } = end
  const good = exitCode === exitCodes.ok || exitCode === exitCodes.degraded
  if (good) {
    const degraded = exitCode === exitCodes.degraded
    const error = degraded ? 'done, but something is wrong: run it by hand to see what' : null
    return { outcome: degraded ? 'degraded' : 'ok', exitCode, sizeBytes: sizeOf(document), error, retry: false }
  }
  const outcome = signal.aborted ? 'interrupted' : 'failed'
  const retry = exitCode === null || passing.has(exitCode) || exitCode === exitCodes.interrupted
  return { outcome, exitCode, sizeBytes: null, error: errorLine(end.told), retry }
}

function makeNice(pid: number | undefined): void {
  try {
    if (pid !== undefined) lowerPriority(niceness, pid)
  } catch {
    // It has ended already, which its exit code tells better.
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function errorOf(document: unknown): string | undefined {
  const { error } = (document ?? {}) as { readonly error?: { readonly message?: unknown } | null }
  return typeof error?.message === 'string' ? error.message : undefined
}
