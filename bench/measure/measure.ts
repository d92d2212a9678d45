import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { lastLines } from '../../src/std/run-program.ts'
import { readChildrenCpuSeconds, readTreeMemory } from './process-tree.ts'

/** A program to run, with its whole environment. */
export interface Command {
  readonly program: string
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export interface Measured {
  readonly wallSeconds: number
  readonly cpuSeconds: number
  readonly peakBytes: number
  readonly stdout: string
}

/** Holdfast lowers its own priority to this, so all get it: otherwise whoever shares the machine would decide. */
const niceness = 10
const sampleEveryMs = 20

/**
 * Runs a command to its end and measures it with everything it started. No other child of this process may end
 * meanwhile: its processor time would be counted as well. Throws when it fails; when the signal aborts, nothing of it
 * goes on.
 */
export async function measure(command: Command, options: { readonly signal: AbortSignal }): Promise<Measured> {
  const { signal } = options
  signal.throwIfAborted()
  const cpuBefore = await readChildrenCpuSeconds()
  const began = performance.now()
  const child = spawn('nice', ['-n', String(niceness), command.program, ...command.arguments], {
    env: { ...command.environment },
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const onAbort = (): void => endGroup(child)
  signal.addEventListener('abort', onAbort, { once: true })
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  const sampling = new AbortController()
  const peak = samplePeak(child.pid ?? 0, sampling.signal)
  try {
    const code = await ended(child, command.program)
    const wallSeconds = (performance.now() - began) / 1000
    const cpuSeconds = (await readChildrenCpuSeconds()) - cpuBefore
    sampling.abort()
    signal.throwIfAborted()
    if (code !== 0) {
      const shown = [command.program, ...command.arguments].join(' ')
      throw new Error(`${shown} ended with ${code}: ${lastLines(stderr() || stdout(), 5)}`)
    }
    return { wallSeconds, cpuSeconds, peakBytes: await peak, stdout: stdout() }
  } finally {
    sampling.abort()
    signal.removeEventListener('abort', onAbort)
  }
}

/** Several programs joined by pipes: it fails when one of them fails. */
export function pipeline(script: string, environment: Readonly<Record<string, string>>): Command {
  return { program: 'bash', arguments: ['-euo', 'pipefail', '-c', script], environment }
}

/** It leads a group of its own, so its children end with it. */
function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
  } catch {
    // It has ended already.
  }
}

async function samplePeak(pid: number, signal: AbortSignal): Promise<number> {
  let peak = 0
  while (!signal.aborted) {
    const { residentBytes, highestBytes } = await readTreeMemory(pid)
    peak = Math.max(peak, residentBytes, highestBytes)
    await delay(sampleEveryMs, undefined, { signal }).catch(() => undefined)
  }
  return peak
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => (text += chunk))
  return () => text
}

function ended(child: ChildProcess, program: string): Promise<number | string | null> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new Error(`Cannot run ${program}: ${cause.message}`, { cause })))
    child.once('close', (code, killedBy) => resolve(code ?? killedBy))
  })
}
