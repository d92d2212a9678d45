import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { request } from 'node:http'
import { systemClock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'

/** A server of the tests as a child process; ended, at last with SIGKILL, when disposed. */
export interface ServerProcess extends AsyncDisposable {
  readonly child: ChildProcess
  readonly running: () => boolean
}

/** Starts a server in the foreground with everything it says in a file, and an environment of its own. */
export async function startProcess(
  program: string,
  programArguments: readonly string[],
  options: { readonly logFile: string; readonly environment?: Readonly<Record<string, string>> | undefined },
): Promise<ServerProcess> {
  await using log = await open(options.logFile, 'a')
  const child = spawn(program, programArguments, {
    env: { PATH: serverPath, ...options.environment },
    stdio: ['ignore', log.fd, log.fd],
  })
  await once(child, 'spawn')
  const running = (): boolean => child.exitCode === null && child.signalCode === null
  return {
    child,
    running,
    [Symbol.asyncDispose]: async () => {
      if (!running()) return
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
      await gone
      clearTimeout(timer)
    },
  }
}

export const serverPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/** Waits until an HTTP server answers anything at all on a port of this machine. */
export async function waitForHttp(server: ServerProcess, port: number, path = '/', logFile = ''): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    if (!server.running()) return true
    return await new Promise<true | undefined>((resolve) => {
      const asked = request({ host: '127.0.0.1', port, path, timeout: 2000 }, (response) => {
        response.resume()
        resolve((response.statusCode ?? 500) < 500 ? true : undefined)
      })
      asked.on('error', () => resolve(undefined)).on('timeout', () => asked.destroy())
      asked.end()
    })
  }
  await waitUntil(`a server on port ${port}`, look, { clock: systemClock, timeoutMs: 60_000, everyMs: 50 })
  if (!server.running()) throw new Error(`the server for port ${port} ended at once; see ${logFile}`)
}
