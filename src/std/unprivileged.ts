import { spawn, spawnSync } from 'node:child_process'
import { constants as fsConstants } from 'node:fs'
import { chown, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import { Fault } from './fault.ts'
import { stdFaults } from './faults.ts'

/**
 * PostgreSQL refuses to run as root, and so does Holdfast. Where root starts something that is only a try-out (the demo,
 * the tests), the same program is run again as `nobody`. A program that `nobody` may not read (a clone below /root) is
 * copied to a temporary place first.
 */
export interface UnprivilegedRun {
  /** The folder that holds the program, its package.json and node_modules. */
  readonly programRoot: string
  /** Absolute path of the file to run, below `programRoot`. */
  readonly entry: string
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Leave the scratch directory, and the copy of the program in it, where they are: something still runs from there. */
  readonly keep?: boolean
  /** Called with the scratch directory that the child may write to, when the child has ended and before it is removed. */
  readonly collect?: (scratch: string) => Promise<void>
}

export function runsAsRoot(): boolean {
  return process.getuid?.() === 0
}

/**
 * Runs the program as `nobody` and resolves with its exit code. The child finds its scratch directory, which is its own
 * and removed at the end, in `HOLDFAST_SCRATCH` and as its HOME. Signals are handed on.
 */
export async function runUnprivileged(run: UnprivilegedRun): Promise<number> {
  const user = await nobody()
  const scratch = await mkdtemp(join(tmpdir(), 'hf-'))
  try {
    await chown(scratch, user.uid, user.gid)
    const home = join(scratch, 'home')
    await mkdir(home, { mode: 0o700 })
    await chown(home, user.uid, user.gid)
    const root = (await readableByOthers([run.programRoot, run.entry, process.execPath]))
      ? run.programRoot
      : await copyProgram(run.programRoot, join(scratch, 'program'))
    const node = process.execPath.startsWith(`${run.programRoot}/`)
      ? join(root, relative(run.programRoot, process.execPath))
      : process.execPath
    const code = await runChild(node, [join(root, relative(run.programRoot, run.entry)), ...run.arguments], {
      cwd: root,
      env: {
        ...run.environment,
        PATH: pathInCopy(run.environment['PATH'] ?? '', run.programRoot, root),
        HOME: home,
        HOLDFAST_SCRATCH: scratch,
      },
      ...user,
    })
    await run.collect?.(scratch)
    return code
  } finally {
    if (run.keep !== true) await rm(scratch, { recursive: true, force: true })
  }
}

/** A search path with the directories below `from` where they are in the copy `to`; the child cannot enter the old ones. */
export function pathInCopy(searchPath: string, from: string, to: string): string {
  const moved = (directory: string): string =>
    directory.startsWith(`${from}/`) ? join(to, relative(from, directory)) : directory
  return searchPath.split(delimiter).map(moved).join(delimiter)
}

async function nobody(): Promise<{ uid: number; gid: number }> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const fields = /^nobody:[^:]*:(\d+):(\d+):/m.exec(passwd)
  return { uid: Number(fields?.[1] ?? 65534), gid: Number(fields?.[2] ?? 65534) }
}

/** True when every file can be read, and every directory above it entered, by any user. */
async function readableByOthers(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const status = await stat(path)
    const needed = status.isDirectory() ? fsConstants.S_IROTH | fsConstants.S_IXOTH : fsConstants.S_IROTH
    if ((status.mode & needed) !== needed) return false
    for (let directory = dirname(path); ; directory = dirname(directory)) {
      if (((await stat(directory)).mode & fsConstants.S_IXOTH) === 0) return false
      if (directory === dirname(directory)) break
    }
  }
  return true
}

async function copyProgram(from: string, to: string): Promise<string> {
  await mkdir(to, { mode: 0o755 })
  const script = 'set -e; cd "$1"; tar -c --exclude=./.git . | tar -x --no-same-owner -C "$2"; chmod -R a+rX "$2"'
  const result = spawnSync('sh', ['-c', script, 'sh', from, to], { encoding: 'utf8' })
  if (result.status !== 0) {
    throw new Fault(
      stdFaults['command-failed'],
      `Cannot copy ${from} to where an unprivileged user can read it: ${result.stderr.trim()}`,
    )
  }
  return to
}

function runChild(
  command: string,
  arguments_: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; uid: number; gid: number },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, arguments_, { ...options, stdio: 'inherit' })
    // A terminal sends Ctrl-C to the whole group; SIGTERM comes to us alone.
    const ignore = (): void => {}
    const forward = (): void => void child.kill('SIGTERM')
    process.on('SIGINT', ignore)
    process.on('SIGTERM', forward)
    const done = (): void => {
      process.off('SIGINT', ignore)
      process.off('SIGTERM', forward)
    }
    child.on('error', (error) => {
      done()
      reject(error)
    })
    child.on('exit', (code, signal) => {
      done()
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}
