import { spawn } from 'node:child_process'
import type { ChildProcess, StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { lastLines } from '../../std/run-program.ts'
import type { ClientLogin } from './client-tools.ts'

/** How a program failed that was read from or written to; {@link lastWords} is what it said last. */
export class ProgramFailed extends Error {
  readonly lastWords: string

  constructor(how: string, lastWords: string) {
    super(`it ${how}: ${lastWords}`)
    this.lastWords = lastWords
  }
}

const keptTextBytes = 64 * 1024

/**
 * What a program writes, as it writes it. Its end is reported as an end only if the program ended well; else throws
 * {@link ProgramFailed}. Whoever stops reading ends the program.
 */
export async function* readProgram(
  path: string,
  programArguments: readonly string[],
  login: ClientLogin,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { child, ended } = start(path, programArguments, login, 'read', signal)
  try {
    if (child.stdout !== null) yield* child.stdout as AsyncIterable<Uint8Array>
    const failure = await ended
    signal?.throwIfAborted()
    if (failure !== undefined) throw failure
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

/**
 * Gives a program its input and waits for its end; throws {@link ProgramFailed}. When the input fails, the program is
 * ended before it could take that for the end of its input and commit.
 */
export async function feedProgram(
  path: string,
  programArguments: readonly string[],
  login: ClientLogin,
  input: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  const { child, ended } = start(path, programArguments, login, 'write', signal)
  try {
    const { stdin } = child
    if (stdin === null) return
    let open = true
    // A program that ends early says why by its exit code.
    stdin.on('error', () => (open = false))
    stdin.on('close', () => (open = false))
    for await (const chunk of input) {
      if (!open) break
      if (!stdin.write(chunk)) await Promise.race([once(stdin, 'drain').catch(() => undefined), ended])
    }
    signal?.throwIfAborted()
    stdin.end()
    const failure = await ended
    signal?.throwIfAborted()
    if (failure !== undefined) throw failure
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

function start(
  path: string,
  programArguments: readonly string[],
  login: ClientLogin,
  direction: 'read' | 'write',
  signal: AbortSignal | undefined,
): { readonly child: ChildProcess; readonly ended: Promise<ProgramFailed | undefined> } {
  signal?.throwIfAborted()
  const pipes = direction === 'read' ? (['ignore', 'pipe'] as const) : (['pipe', 'ignore'] as const)
  const stdio: StdioOptions = [...pipes, 'pipe', login.passFileDescriptor]
  const child = spawn(path, programArguments, { env: { ...login.environment }, cwd: '/', stdio })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptTextBytes)
  })
  const kill = (): void => void child.kill('SIGKILL')
  signal?.addEventListener('abort', kill, { once: true })
  const ended = new Promise<ProgramFailed | undefined>((resolve) => {
    child.once('error', (error) => resolve(new ProgramFailed('could not be run', error.message)))
    child.once('close', (exitCode, killedBy) => {
      const how = killedBy === null ? `ended with exit code ${exitCode}` : `was ended by ${killedBy}`
      resolve(exitCode === 0 ? undefined : new ProgramFailed(how, lastLines(said, 5)))
    })
  }).finally(() => signal?.removeEventListener('abort', kill))
  return { child, ended }
}
