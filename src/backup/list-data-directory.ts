import type { BigIntStats } from 'node:fs'
import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../std/fault.ts'
import { controlFilePath, directoryRule, keepsFile, unloggedFilter } from './core/content-rules.ts'
import { tablespaceOf } from './core/tablespace-map.ts'
import { backupFaults } from './faults.ts'

/** One moment's list of a running server's files. Any of them may be gone, longer or shorter when it is read. */
export interface DataDirectoryListing {
  /** Relative to the data directory, parents first; tablespaces appear below `pg_tblspc/<oid>`. */
  readonly directories: readonly ListedDirectory[]
  /** In the order to copy them; `global/pg_control` is not among them. */
  readonly files: readonly ListedFile[]
  /** The tablespaces, by oid, that are linked to another place, as opposed to made in place. */
  readonly linkedTablespaces: readonly number[]
  /** What a backup cannot hold: symbolic links other than of tablespaces, sockets, devices, names that are not UTF-8. */
  readonly skipped: readonly string[]
}

export interface ListedDirectory {
  readonly path: string
  readonly mode: number
}

export interface ListedFile {
  readonly path: string
  readonly sizeBytes: number
  readonly mode: number
  readonly modifiedMs: number
  /** When its content, or anything about it, was last changed, by the clock of its file system. */
  readonly changedMs: number
  /** Another one after anything was written to the file or it was replaced, {@link changedMs} permitting. */
  readonly identity: string
}

/** Lists what a backup of `dataDirectory` holds. Of tablespaces only `tablespaceDirectory` (`PG_15_202209061`) counts. */
export async function listDataDirectory(
  dataDirectory: string,
  tablespaceDirectory: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DataDirectoryListing> {
  const found: Found = { directories: [], files: [], linkedTablespaces: [], skipped: [] }
  await walk({ dataDirectory, tablespaceDirectory, signal: options.signal, found }, '')
  const keep = unloggedFilter(found.files.map((file) => file.path))
  const files = found.files.filter((file) => file.path !== controlFilePath && keep(file.path))
  return { ...found, files }
}

interface Found {
  readonly directories: ListedDirectory[]
  readonly files: ListedFile[]
  readonly linkedTablespaces: number[]
  readonly skipped: string[]
}

interface Walk {
  readonly dataDirectory: string
  readonly tablespaceDirectory: string
  readonly signal: AbortSignal | undefined
  readonly found: Found
}

async function walk(context: Walk, directory: string): Promise<void> {
  context.signal?.throwIfAborted()
  const entries = await unlessGone(readdir(join(context.dataDirectory, directory), { withFileTypes: true }))
  for (const entry of (entries ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`
    const stats = await unlessGone(statOf(context, path))
    // A name that is not UTF-8 cannot be opened by what readdir made of it.
    if (path.includes('\uFFFD')) context.found.skipped.push(path)
    else if (stats === undefined) await refuseDanglingTablespace(context, path)
    else if (stats.isDirectory())
      await visitDirectory(context, path, { mode: Number(stats.mode), isLink: entry.isSymbolicLink() })
    else if (stats.isFile()) visitFile(context, path, stats)
    else context.found.skipped.push(path)
  }
}

/** Links are followed only where PostgreSQL makes them: `pg_wal` itself and tablespaces. */
function statOf(context: Walk, path: string): Promise<BigIntStats> {
  const full = join(context.dataDirectory, path)
  const options = { bigint: true } as const
  return path === 'pg_wal' || isTablespace(path) ? stat(full, options) : lstat(full, options)
}

async function visitDirectory(
  context: Walk,
  path: string,
  { mode, isLink }: { readonly mode: number; readonly isLink: boolean },
): Promise<void> {
  const rule = directoryRule(path)
  if (rule === 'exclude' || isForeignInTablespace(path, context.tablespaceDirectory)) return
  context.found.directories.push({ path, mode: mode & 0o7777 })
  // Tablespaces made in place (`allow_in_place_tablespaces`) are plain directories and need no note.
  const tablespace = isLink && isTablespace(path) ? tablespaceOf(path) : undefined
  if (tablespace !== undefined) context.found.linkedTablespaces.push(tablespace)
  if (rule === 'keep') await walk(context, path)
}

function visitFile(context: Walk, path: string, stats: BigIntStats): void {
  if (!keepsFile(path) || isForeignInTablespace(path, context.tablespaceDirectory)) return
  const { mtimeNs, ctimeNs } = stats
  context.found.files.push({
    path,
    sizeBytes: Number(stats.size),
    mode: Number(stats.mode) & 0o7777,
    modifiedMs: Number(stats.mtimeMs),
    changedMs: Number(mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1e6,
    identity: fileIdentity(stats),
  })
}

/** What tells a file from what it was: any write sets its times anew, and a file in its place is another inode. */
export function fileIdentity({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join(' ')
}

function isTablespace(path: string): boolean {
  return /^pg_tblspc\/[^/]+$/.test(path)
}

/** A tablespace whose place is not there, for want of a mount perhaps, must not silently be missing in the backup. */
async function refuseDanglingTablespace(context: Walk, path: string): Promise<void> {
  if (!isTablespace(path)) return
  const full = join(context.dataDirectory, path)
  const location = await unlessGone(readlink(full))
  if (location === undefined) return
  throw new Fault(
    backupFaults['backup-file-missing'],
    `Cannot back up tablespace ${path}: its place ${location} does not exist`,
    { details: { path, location }, hint: 'Mount the file system of the tablespace, or drop the tablespace.' },
  )
}

/** A tablespace's place may be shared: with another major version, with anything a person puts there. */
function isForeignInTablespace(path: string, tablespaceDirectory: string): boolean {
  const name = /^pg_tblspc\/[^/]+\/([^/]+)/.exec(path)?.[1]
  return name !== undefined && name !== tablespaceDirectory
}

async function unlessGone<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** True when `error` says that a file or directory does not exist (any more). */
export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
