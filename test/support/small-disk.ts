import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** File systems of a few megabytes, which only commands begun with {@link launcher} see. */
export interface SmallDisks extends AsyncDisposable {
  /** Words to put before a command so that it runs, as the same user, where the disks are mounted. */
  readonly launcher: readonly string[]
  /** A path there as this process can reach it. */
  seen(path: string): string
  /** Leaves `leftBytes` of a disk free. */
  fill(directory: string, leftBytes: number): Promise<void>
  /** Gives back what {@link fill} took. */
  free(directory: string): Promise<void>
}

const ballast = '.ballast'

/**
 * Mounts a tmpfs of so many megabytes on each directory, in a mount namespace that needs no privilege. Undefined where
 * the system allows no user namespaces.
 *
 * A process in the middle holds the namespace. It looks like root there, which PostgreSQL and Holdfast refuse to be, so
 * commands get a user namespace of their own within it that gives them their user back.
 */
export async function openSmallDisks(sizes: ReadonlyMap<string, number>): Promise<SmallDisks | undefined> {
  const mounts: string[] = []
  for (const [directory, megabytes] of sizes) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    mounts.push(`mount -t tmpfs -o size=${megabytes}m,mode=700 none '${directory}'`)
  }
  const script = `${mounts.join(' && ')} && echo mounted && exec sleep infinity`
  const holder = spawn('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(holder, 'exit')
  const mounted = once(holder.stdout, 'data').then(() => true)
  if (!(await Promise.race([mounted, ended.then(() => false)]))) return undefined
  const inside = (directory: string): string => join(`/proc/${holder.pid}/root`, directory)
  const enter = ['nsenter', '--target', String(holder.pid), '--user', '--mount', '--preserve-credentials']
  const user = ['unshare', '--user', `--map-user=${process.getuid?.()}`, `--map-group=${process.getgid?.()}`]
  return {
    launcher: [...enter, ...user],
    seen: inside,
    fill: async (directory, leftBytes) => {
      const path = inside(directory)
      const { bavail, bsize } = await statfs(path)
      // Somebody else may take the last bytes first; then it is full all the same.
      await writeFile(join(path, ballast), Buffer.alloc(Math.max(0, bavail * bsize - leftBytes))).catch(unlessFull)
    },
    free: (directory) => rm(join(inside(directory), ballast)),
    [Symbol.asyncDispose]: async () => {
      holder.kill('SIGKILL')
      await ended
    },
  }
}

function unlessFull(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
}
