import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readPostmasterPid } from '../../postgres/postmaster.ts'

/**
 * Removes the `postmaster.pid` of a postmaster that has ended but is still in the process table, because nobody has
 * collected its exit status: so it is where process 1 is no real init, as in many containers. PostgreSQL takes such a
 * process for a running server and refuses to start. The fencer has made sure that no process of that server is left.
 */
export async function removeStalePidFile(dataDirectory: string): Promise<void> {
  const found = await readPostmasterPid(dataDirectory)
  if (found === undefined) return
  const status = await readFile(`/proc/${found.pid}/stat`, 'latin1').catch(() => '')
  const state = status.slice(status.lastIndexOf(')') + 2)[0]
  if (state === 'Z' || state === 'X') await rm(join(dataDirectory, 'postmaster.pid'), { force: true })
}
