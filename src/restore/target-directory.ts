import { chmod, mkdir, open, readdir, rm, statfs, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Manifest, ManifestFile } from '../repository/core/manifest.ts'
import { diskFault, syncDirectory, writeFileDurably } from '../std/durable-file.ts'
import { Fault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { restoreFaults } from './faults.ts'

/** Stands in a directory from the first to the last moment of a restore into it. */
export const incompleteMarker = 'holdfast-restore-incomplete'

/** The last file that a restore writes; without it PostgreSQL does not start. */
export const controlFile = 'global/pg_control'

/**
 * Directories that PostgreSQL expects and whose contents no backup has. Source: basebackup.c, excludeDirContents; the
 * WAL's own directories from sendDir.
 */
const expectedDirectories = [
  'global',
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_logical',
  'pg_logical/mappings',
  'pg_logical/snapshots',
  'pg_multixact',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_wal/archive_status',
]

export interface TargetDirectory {
  readonly path: string
  /** Where each tablespace goes, by its OID. */
  readonly tablespaces: ReadonlyMap<number, string>
}

/**
 * Makes sure that the directories are there, empty, and have room, and puts the marker of an incomplete restore into the
 * first. Nothing is written when one of them is not empty.
 */
export async function claimTargetDirectory(
  target: TargetDirectory,
  manifest: Pick<Manifest, 'tablespaces'> & { readonly facts: Pick<Manifest['facts'], 'backup' | 'dataBytes'> },
): Promise<void> {
  const used = manifest.tablespaces.map(({ oid }) => target.tablespaces.get(oid) as string)
  const directories = [target.path, ...used]
  for (const directory of directories) await requireEmpty(directory)
  for (const directory of directories) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await chmod(directory, 0o700)
  }
  await requireSpace(target.path, manifest.facts.dataBytes)
  const note = `This directory is an incomplete restore of backup ${manifest.facts.backup}. Remove it and restore again.\n`
  await writeFileDurably(join(target.path, incompleteMarker), note)
}

/** Throws `restore-incomplete` when a directory holds a restore that never came to its end. */
export async function requireComplete(directory: string): Promise<void> {
  const names = await readdir(directory)
  if (!names.includes(incompleteMarker)) return
  throw new Fault(
    restoreFaults['restore-incomplete'],
    `Cannot recover ${directory}: the restore into it did not come to its end`,
    { details: { directory } },
  )
}

/** Makes every directory, link and file, each file with its final size, so that pages can be written in any order. */
export async function layOut(target: TargetDirectory, manifest: Manifest, signal?: AbortSignal): Promise<void> {
  for (const { oid } of manifest.tablespaces) {
    await mkdir(join(target.path, 'pg_tblspc'), { recursive: true, mode: 0o700 })
    await symlink(target.tablespaces.get(oid) as string, join(target.path, 'pg_tblspc', String(oid)))
  }
  const linked = new Set(manifest.tablespaces.map(({ oid }) => `pg_tblspc/${oid}`))
  for (const path of expectedDirectories) await mkdir(join(target.path, path), { recursive: true, mode: 0o700 })
  for (const file of manifest.files) {
    signal?.throwIfAborted()
    if (file.kind !== 'directory') {
      if (file.path !== controlFile) await createFile(join(target.path, file.path), file.mode, file.sizeBytes)
    } else if (!linked.has(file.path)) {
      await mkdir(join(target.path, file.path), { recursive: true, mode: 0o700 })
      await chmod(join(target.path, file.path), file.mode)
    }
  }
  await writeFile(join(target.path, 'backup_label'), manifest.backupLabel, { mode: 0o600 })
  if (manifest.tablespaces.length > 0) {
    await writeFile(join(target.path, 'tablespace_map'), tablespaceMap(target, manifest), { mode: 0o600 })
  }
}

/**
 * The map that PostgreSQL makes its links from when it starts: with the new places, or it would use the original ones.
 * Source: read_tablespace_map() in xlogrecovery.c, where a backslash escapes a line break in a path.
 */
export function tablespaceMap(target: TargetDirectory, manifest: Pick<Manifest, 'tablespaces'>): string {
  return manifest.tablespaces
    .map(({ oid }) => `${oid} ${(target.tablespaces.get(oid) as string).replaceAll(/[\\\n\r]/g, String.raw`\$&`)}\n`)
    .join('')
}

export async function createFile(path: string, mode: number, sizeBytes: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.truncate(sizeBytes)
    await file.chmod(mode)
  } catch (error) {
    throw diskFault(error, path)
  }
}

/** Makes all files and directories durable. */
export async function syncAll(
  target: TargetDirectory,
  files: readonly ManifestFile[],
  signal?: AbortSignal,
): Promise<void> {
  const paths = files.flatMap((file) => (file.kind === 'directory' || file.path === controlFile ? [] : [file.path]))
  const queue = [...paths, 'backup_label'].values()
  const syncOne = async (): Promise<void> => {
    for (const path of queue) {
      signal?.throwIfAborted()
      await using file = await open(join(target.path, path), 'r+')
      await file.sync().catch((error: unknown) => {
        throw diskFault(error, path)
      })
    }
  }
  await Promise.all([syncOne(), syncOne(), syncOne(), syncOne()])
  const parents = new Set([...paths, ...expectedDirectories.map((path) => `${path}/.`)].map((path) => dirname(path)))
  for (const parent of parents) await syncDirectory(join(target.path, parent))
  for (const place of target.tablespaces.values()) await syncDirectory(place).catch(ignoreMissing)
  await syncDirectory(target.path)
  await syncDirectory(dirname(target.path))
}

/** The restore is complete. */
export async function releaseTargetDirectory(target: TargetDirectory): Promise<void> {
  await rm(join(target.path, incompleteMarker))
  await syncDirectory(target.path)
}

async function requireEmpty(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new Fault(
      restoreFaults['restore-directory-not-empty'],
      `Cannot restore into ${directory}: it cannot be listed (${error.code ?? error.message})`,
      { cause: error, details: { directory } },
    )
  })
  // A file system made for the data has this from the start.
  const found = names.filter((name) => name !== 'lost+found')
  if (found.length === 0) return
  const what = found.includes(incompleteMarker)
    ? 'it holds an incomplete restore'
    : `it holds ${found.slice(0, 3).join(', ')}`
  throw new Fault(restoreFaults['restore-directory-not-empty'], `Cannot restore into ${directory}: ${what}`, {
    details: { directory },
  })
}

async function requireSpace(directory: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const freeBytes = bavail * bsize
  if (freeBytes > neededBytes) return
  throw new Fault(
    stdFaults['disk-full'],
    `Cannot restore into ${directory}: the backup needs ${neededBytes} bytes, its file system has ${freeBytes} left`,
    { details: { directory, neededBytes, freeBytes } },
  )
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
