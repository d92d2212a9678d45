import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { Fault } from './fault.ts'
import { stdFaults } from './faults.ts'

const keptBytes = 1 << 20

/** How a program ended, with at most the last MiB of what it wrote. */
export interface ProgramResult {
  readonly exitCode: number | null
  readonly killedBy: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface ProgramOptions {
  /** The whole environment of the program: nothing is inherited, so that no `PG…` variable of the user leaks in. */
  readonly environment: Readonly<Record<string, string>>
  readonly workingDirectory?: string | undefined
  readonly deadlineMs: number
  /** An open file that the program finds as `/dev/fd/3`: the way to hand over a secret that no path leads to. */
  readonly fileDescriptor?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs a program to its end and gives back how it ended, whatever the exit code. A program that passes its deadline or
 * is aborted is killed and waited for before the fault, so that it never goes on behind the caller's back.
 */
export async function runProgramToEnd(
  program: string,
  programArguments: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  options.signal?.throwIfAborted()
  const child = spawn(program, programArguments, {
    env: { ...options.environment },
    cwd: options.workingDirectory ?? '/',
    stdio: ['ignore', 'pipe', 'pipe', options.fileDescriptor ?? 'ignore'],
  })
  const stdout = collectTail(child.stdout)
  const stderr = collectTail(child.stderr)
  const kill = (): void => void child.kill('SIGKILL')
  let late = false
  const timer = setTimeout(() => {
    late = true
    kill()
  }, options.deadlineMs)
  options.signal?.addEventListener('abort', kill, { once: true })
  try {
    const { exitCode, killedBy } = await ended(child, program)
    options.signal?.throwIfAborted()
    if (late) throw deadlineFault(program, options.deadlineMs, stderr())
    return { exitCode, killedBy, stdout: stdout(), stderr: stderr() }
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', kill)
  }
}

/** Like {@link runProgramToEnd}, but an exit code other than 0 is a fault that carries the last lines of stderr. */
export async function runProgram(
  program: string,
  programArguments: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  const result = await runProgramToEnd(program, programArguments, options)
  if (result.exitCode === 0) return result
  const how = result.killedBy === null ? `ended with exit code ${result.exitCode}` : `was ended by ${result.killedBy}`
  const last = lastLines(result.stderr === '' ? result.stdout : result.stderr, 5)
  throw new Fault(stdFaults['command-failed'], `Cannot complete ${program}: it ${how}: ${last}`, {
    details: { program, exitCode: result.exitCode, killedBy: result.killedBy },
  })
}

/** The last `count` lines of a text that say something, in one line. */
export function lastLines(text: string, count: number): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.length === 0 ? 'it said nothing' : lines.slice(-count).join(' | ')
}

function deadlineFault(program: string, deadlineMs: number, stderr: string): Fault {
  return new Fault(
    stdFaults['deadline-passed'],
    `Cannot complete ${program}: it did not end within ${deadlineMs} ms: ${lastLines(stderr, 5)}`,
    { details: { program, deadlineMs } },
  )
}

function ended(
  child: ReturnType<typeof spawn>,
  program: string,
): Promise<{ exitCode: number | null; killedBy: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(
        new Fault(stdFaults['command-failed'], `Cannot run ${program}: ${cause.message}`, {
          cause,
          details: { program },
          hint: 'Check that the program exists and that this user may execute it.',
        }),
      )
    })
    child.once('close', (exitCode, killedBy) => resolve({ exitCode, killedBy }))
  })
}

function collectTail(stream: Readable | null): () => string {
  let chunks: Buffer[] = []
  let sizeBytes = 0
  stream?.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    sizeBytes += chunk.length
    if (sizeBytes > 2 * keptBytes) {
      chunks = [Buffer.concat(chunks).subarray(-keptBytes)]
      sizeBytes = keptBytes
    }
  })
  return () => Buffer.concat(chunks).subarray(-keptBytes).toString('utf8')
}
