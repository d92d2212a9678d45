import { statSync } from 'node:fs'
import { readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ManifestFile } from '../../repository/core/manifest.ts'
import { Fault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import type { TargetDirectory } from './target-directory.ts'

/** The room on one file system. */
export interface Room {
  readonly directory: string
  readonly neededBytes: number
  readonly freeBytes: number
}

/** What files need more than is there already, on each file system that the restore writes to. */
export async function roomFor(target: TargetDirectory, files: Iterable<ManifestFile>): Promise<readonly Room[]> {
  const present = (await readdir(target.path).catch(() => [])).length > 0
  const needed = new Map([[target.path, 0]])
  for (const file of files) {
    if (file.kind === 'directory') continue
    const oid = /^pg_tblspc\/(\d+)\//.exec(file.path)?.[1]
    const place = (oid === undefined ? undefined : target.tablespaces.get(Number(oid))) ?? target.path
    const there = present ? allocatedBytes(join(target.path, file.path)) : 0
    needed.set(place, (needed.get(place) ?? 0) + Math.max(0, file.sizeBytes - there))
  }
  const byDevice = new Map<number | string, Room>()
  for (const [directory, bytes] of needed) {
    const device = (await deviceOf(directory)) ?? directory
    const known = byDevice.get(device)
    const { bavail, bsize } = await statfs(await nearestPresent(directory))
    const neededBytes = bytes + (known?.neededBytes ?? 0)
    byDevice.set(device, { directory: known?.directory ?? directory, neededBytes, freeBytes: bavail * bsize })
  }
  return [...byDevice.values()]
}

/** Throws `disk-full` where the files cannot fit. */
export function requireRoom(rooms: readonly Room[]): void {
  const tight = rooms.find(({ neededBytes, freeBytes }) => neededBytes >= freeBytes)
  if (tight === undefined) return
  const { directory, neededBytes, freeBytes } = tight
  throw new Fault(
    stdFaults['disk-full'],
    `Cannot restore into ${directory}: the backup needs ${neededBytes} bytes, its file system has ${freeBytes} left`,
    { details: { directory, neededBytes, freeBytes } },
  )
}

/** Synchronous, since there may be a hundred thousand. */
function allocatedBytes(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? 0 : Math.min(found.size, found.blocks * 512)
}

async function deviceOf(directory: string): Promise<number | undefined> {
  const found = await stat(await nearestPresent(directory)).catch(() => undefined)
  return found?.dev
}

async function nearestPresent(directory: string): Promise<string> {
  for (let at = directory; ; at = dirname(at)) {
    if ((await stat(at).catch(() => undefined)) !== undefined || at === dirname(at)) return at
  }
}
