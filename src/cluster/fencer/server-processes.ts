import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { ServerIdentity } from './core/protocol.ts'

/**
 * The processes of one PostgreSQL server, from /proc. Reading /proc touches no disk and takes no lock that a hung
 * process holds (`stat`, `cwd` and `exe` only; `cmdline` and `environ` would), some 10 µs a process.
 */
export interface ProcessStatus {
  readonly pid: number
  readonly parentPid: number
  /** In clock ticks since boot; with the process id it names a process for good. */
  readonly startTicks: number
}

/**
 * Sends SIGKILL to the postmaster and to every process of its server, and gives back how many were still there. To be
 * called until that is 0: a backend forked in between shows up the next time. Backends are session leaders of their own,
 * so no process-group signal reaches them; once the postmaster is gone they have another parent and are recognized by
 * their program and working directory. A stopped process dies too; one in uninterruptible sleep runs no user code again.
 */
export function killServer(server: ServerIdentity): number {
  // The children are collected first: by program and directory alone a child running `archive_command` is not found.
  return serverProcesses(server).filter(kill).length
}

/** Every living process of the server, its postmaster first. */
export function serverProcesses(server: ServerIdentity): number[] {
  const processes = readProcesses()
  const isPostmaster = ({ pid, startTicks }: ProcessStatus): boolean =>
    pid === server.postmasterPid && startTicks === server.postmasterStartTicks
  const postmaster = processes.find(isPostmaster)
  const others = processes.filter(
    (process) =>
      process !== postmaster &&
      ((postmaster !== undefined && process.parentPid === postmaster.pid) || runsServer(process.pid, server)),
  )
  return [...(postmaster === undefined ? [] : [postmaster]), ...others].map(({ pid }) => pid)
}

/** The servers whose postmasters are children of this process; for one that cannot be asked any more. */
export function serversOf(fencerPid: number): ServerIdentity[] {
  return readProcesses()
    .filter(({ parentPid }) => parentPid === fencerPid)
    .flatMap(({ pid, startTicks }) => {
      const program = readLink(`/proc/${pid}/exe`)
      const dataDirectory = readLink(`/proc/${pid}/cwd`)
      if (program === undefined || dataDirectory === undefined) return []
      return { postmasterPid: pid, postmasterStartTicks: startTicks, program, dataDirectory }
    })
}

/** Undefined when there is no such process, or only its exit status is left of it. */
export function readProcess(pid: number): ProcessStatus | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The program's name, in parentheses, may itself hold blanks and parentheses. Fields as in proc_pid_stat(5), from 3 on.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, parentPid] = fields
  if (state === 'Z' || state === 'X') return undefined
  return { pid, parentPid: Number(parentPid), startTicks: Number(fields[19]) }
}

function readProcesses(): ProcessStatus[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? [])
}

function runsServer(pid: number, { dataDirectory, program }: ServerIdentity): boolean {
  return readLink(`/proc/${pid}/cwd`) === dataDirectory && isProgram(readLink(`/proc/${pid}/exe`), program)
}

/** The kernel marks a program whose file was replaced, as by an update of the package. */
function isProgram(path: string | undefined, program: string): boolean {
  return path === program || path === `${program} (deleted)`
}

/** Undefined when the process has gone or belongs to another user. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

/** False when there was nothing to kill, or nothing of ours: a child that took another user's rights, as by `sudo`. */
function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL')
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM')) return false
    throw error
  }
}
