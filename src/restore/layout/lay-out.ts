import type { Stats } from 'node:fs'
import { chmodSync, closeSync, fchmodSync, ftruncateSync, lstatSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { chmod, lstat, mkdir, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ManifestFile } from '../../repository/core/manifest.ts'
import type { ManifestReader } from '../../repository/manifest-object.ts'
import { diskFault } from '../../std/durable-file.ts'
import { controlFile, expectedDirectories } from './target-directory.ts'
import type { TargetDirectory } from './target-directory.ts'

/** What a restore may do meanwhile to a file of any mode. */
const ownerMode = 0o600

/** Between so many files other things get their turn. */
const filesAtOnce = 256

/**
 * Makes every directory, link and file, each file with its final size, so that pages can be written in any order. What is
 * there already stays, where it is of the right kind; `pg_control` is left to the end.
 */
export async function layOut(
  target: TargetDirectory,
  manifest: Pick<ManifestReader, 'backupLabel' | 'tablespaces' | 'files'>,
  signal?: AbortSignal,
): Promise<void> {
  const linked = new Set(manifest.tablespaces.map(({ oid }) => `pg_tblspc/${oid}`))
  await makeDirectories(target, expectedDirectories)
  for (const [oid, place] of target.tablespaces)
    await linkTablespace(join(target.path, 'pg_tblspc', String(oid)), place)
  let groupMode = 0
  let made = 0
  for (const file of manifest.files()) {
    made += 1
    if (made % filesAtOnce === 0) await nextTurn()
    signal?.throwIfAborted()
    const path = join(target.path, file.path)
    if (file.path === 'PG_VERSION') groupMode = file.mode & 0o040
    if (file.kind !== 'directory') {
      if (file.path !== controlFile) prepareFile(path, file)
    } else if (!linked.has(file.path)) {
      prepareDirectory(path, file.mode)
    }
  }
  const notes = { mode: 0o600 | groupMode }
  await writeFile(join(target.path, 'backup_label'), manifest.backupLabel, notes)
  if (manifest.tablespaces.length > 0) {
    await writeFile(join(target.path, 'tablespace_map'), tablespaceMap(target, manifest), notes)
  }
  // Group access is a property of the whole cluster; the backup has it of every file but the directory itself.
  await chmod(target.path, groupMode === 0 ? 0o700 : 0o750)
}

/**
 * The map that PostgreSQL makes its links from when it starts: with the new places, or it would use the original ones.
 * Source: read_tablespace_map() in xlogrecovery.c, where a backslash escapes a line break in a path.
 */
export function tablespaceMap(target: TargetDirectory, manifest: Pick<ManifestReader, 'tablespaces'>): string {
  return manifest.tablespaces
    .map(({ oid }) => `${oid} ${(target.tablespaces.get(oid) as string).replaceAll(/[\\\n\r]/g, String.raw`\$&`)}\n`)
    .join('')
}

/**
 * A file of the right size that nobody else's name leads to; its content may be anything. Synchronous: for the hundred
 * thousand files of a large cluster the way to a thread and back for each step would take longer than the steps.
 */
export function prepareFile(path: string, file: Exclude<ManifestFile, { kind: 'directory' }>): void {
  const there = lstatSync(path, { throwIfNoEntry: false })
  const usable = there?.isFile() === true && there.nlink === 1
  try {
    if (there !== undefined && !usable) rmSync(path, { recursive: true })
    if (usable && (there.mode & ownerMode) !== ownerMode) chmodSync(path, ownerMode)
    const descriptor = openSync(path, usable ? 'r+' : 'wx', ownerMode)
    try {
      if (there?.size !== file.sizeBytes || !usable) ftruncateSync(descriptor, file.sizeBytes)
      const mode = file.mode | ownerMode
      if (!usable || (there.mode & 0o7777) !== mode) fchmodSync(descriptor, mode)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw diskFault(error, path)
  }
}

async function makeDirectories(target: TargetDirectory, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const there = await lstatIfThere(join(target.path, path))
    if (there?.isDirectory() === true) continue
    // A link may be the copy of another cluster's, with its WAL at the end: what it leads to is not touched.
    if (there !== undefined) await rm(join(target.path, path))
    await mkdir(join(target.path, path), { mode: 0o700 })
  }
}

function prepareDirectory(path: string, mode: number): void {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there !== undefined && !there.isDirectory()) rmSync(path)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, mode)
}

async function linkTablespace(link: string, place: string): Promise<void> {
  const there = await lstatIfThere(link)
  if (there?.isSymbolicLink() === true && (await readlink(link)) === place) return
  if (there !== undefined) await rm(link, { recursive: true })
  await symlink(place, link)
}

async function lstatIfThere(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
