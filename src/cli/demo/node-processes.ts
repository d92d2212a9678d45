import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * The processes of a node, found as an operator would find them: by the node's directory in their arguments, and the
 * children of those. PostgreSQL's backends rename themselves, but their parent does not.
 */
export async function processesBelow(directory: string): Promise<number[]> {
  const parents = new Map<number, number>()
  const found = new Set<number>()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const pid = Number(name)
    if (pid === process.pid) continue
    const [command, status] = await Promise.all([
      readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => ''),
      readFile(`/proc/${name}/stat`, 'utf8').catch(() => ''),
    ])
    // The command name stands in parentheses and may hold anything; the fields after it do not.
    const parent = Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
    parents.set(pid, parent)
    if (command.split('\0').some((argument) => argument === directory || argument.includes(`${directory}/`)))
      found.add(pid)
  }
  for (let grown = true; grown;) {
    grown = false
    for (const [pid, parent] of parents) {
      if (found.has(pid) || !found.has(parent)) continue
      found.add(pid)
      grown = true
    }
  }
  return [...found]
}

/** Kills with SIGKILL until `find` finds nothing more; the number of processes killed. */
export async function killAll(find: () => Promise<readonly number[]>): Promise<number> {
  const killed = new Set<number>()
  for (let round = 0; round < 200; round += 1) {
    const pids = await find()
    if (pids.length === 0) return killed.size
    for (const pid of pids) {
      killed.add(pid)
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
    await delay(10)
  }
  throw new Error(`Cannot end the processes ${(await find()).join(', ')}: they are still there after SIGKILL`)
}

/** The first line of `postmaster.pid`. */
export async function postmasterPid(dataDirectory: string): Promise<number> {
  return Number((await readFile(`${dataDirectory}/postmaster.pid`, 'utf8')).split('\n')[0])
}
