import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../std/clock.ts'
import { killServer, readProcess, serversOf } from './server-processes.ts'

const sweepMs = 5

/** Writes down which process is the fencer, for the case that it can only be reached with a signal. */
export async function noteFencer(stateDirectory: string, pid: number): Promise<void> {
  const startTicks = readProcess(pid)?.startTicks ?? 0
  await writeFile(join(stateDirectory, 'fencer.pid'), `${pid} ${startTicks}\n`, { mode: 0o600 })
}

/**
 * Kills a fencer that does not answer, and its server: frozen, it would not end the server at its deadline. False when
 * it is not known which process it is.
 */
export async function endFrozenFencer(
  stateDirectory: string,
  { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const note = await readFile(join(stateDirectory, 'fencer.pid'), 'utf8').catch(() => '')
  const [pid = 0, startTicks = 0] = note.split(' ').map(Number)
  const isThere = (): boolean => startTicks !== 0 && readProcess(pid)?.startTicks === startTicks
  if (!isThere()) return false
  const servers = serversOf(pid)
  process.kill(pid, 'SIGKILL')
  while (isThere() || servers.some((server) => killServer(server) > 0)) await clock.sleep(sweepMs, { signal })
  return true
}
