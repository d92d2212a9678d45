import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Removes the lock files of a postmaster that has ended but is still in the process table, because nobody has collected
 * its exit status: so it is where process 1 is no real init, as in many containers. PostgreSQL takes such a process for a
 * running server and refuses to start. The fencer has made sure that no process of that server is left.
 */
export async function removeStaleLockFiles(
  dataDirectory: string,
  socketDirectory: string,
  port: number,
): Promise<void> {
  const socket = join(socketDirectory, `.s.PGSQL.${port}`)
  if (await heldByDead(join(dataDirectory, 'postmaster.pid'))) await rm(join(dataDirectory, 'postmaster.pid'))
  if (!(await heldByDead(`${socket}.lock`))) return
  await rm(socket, { force: true })
  await rm(`${socket}.lock`)
}

/** True when the process whose number stands in the first line exists only as an entry that was not collected. */
async function heldByDead(lockFile: string): Promise<boolean> {
  const pid = Number.parseInt(await readFile(lockFile, 'utf8').catch(() => ''), 10)
  if (!(pid > 0)) return false
  const status = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  const state = status.slice(status.lastIndexOf(')') + 2)[0]
  return state === 'Z' || state === 'X'
}
