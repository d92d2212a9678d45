import { readdir, readFile } from 'node:fs/promises'

/** A process and all that it started, as Linux shows them below /proc. */
export interface TreeMemory {
  /** What they hold together now. */
  readonly residentBytes: number
  /** The most that one of them ever held. */
  readonly highestBytes: number
}

/**
 * The memory of a process and its descendants. PostgreSQL's own processes are left out: they share their buffers, which
 * would be counted once for each, and are no part of a backup tool.
 */
export async function readTreeMemory(root: number): Promise<TreeMemory> {
  let residentBytes = 0
  let highestBytes = 0
  for (const pid of await descendants(root)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    if (/^Name:\tpostgres$/m.test(status)) continue
    residentBytes += kilobytes(status, 'VmRSS')
    highestBytes = Math.max(highestBytes, kilobytes(status, 'VmHWM'))
  }
  return { residentBytes, highestBytes }
}

function kilobytes(status: string, field: string): number {
  return Number(new RegExp(String.raw`^${field}:\s+(\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024
}

async function descendants(root: number): Promise<number[]> {
  const found = [root]
  for (const pid of found) found.push(...(await childrenOf(pid)))
  return found
}

/** Each thread has its own list. A process that has ended has none. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.split(' ').filter((word) => word !== '')).map(Number)
}

const ticksPerSecond = 100

/**
 * User and system time of all children that this process has waited for, with what those had waited for themselves
 * (proc(5), `cutime` and `cstime`). Linux counts in hundredths of a second.
 */
export async function readChildrenCpuSeconds(): Promise<number> {
  const stat = await readFile('/proc/self/stat', 'utf8')
  // The second field is a name in parentheses, in which anything may stand.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond
}
