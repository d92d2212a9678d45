import { lstatSync, readlinkSync, statSync, type BigIntStats } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Fault } from '../std/fault.ts'
import { controlFilePath, directoryRule, keepsFile, unloggedFilter } from './core/content-rules.ts'
import { tablespaceOf } from './core/tablespace-map.ts'
import { backupFaults } from './faults.ts'

/** One thing in a running server's data directory. A file may be gone, longer or shorter when it is read. */
export type ListedEntry =
  | ({ readonly kind: 'directory' } & ListedDirectory)
  | ({ readonly kind: 'file' } & ListedFile)
  /** What a backup cannot hold: symbolic links other than of tablespaces, sockets, devices, names that are not UTF-8. */
  | { readonly kind: 'skipped'; readonly path: string }

/** Paths are relative to the data directory; tablespaces appear below `pg_tblspc/<oid>`. */
export interface ListedDirectory {
  readonly path: string
  readonly mode: number
  /** Its oid when it is a tablespace that is linked to another place, as opposed to made in place. */
  readonly linkedTablespace: number | undefined
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

export interface DataDirectoryPlace {
  readonly dataDirectory: string
  /** `PG_15_202209061`: of tablespaces, only this counts. */
  readonly tablespaceDirectory: string
}

export interface ListOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Walks through what a backup of a data directory holds, in the order of `compareInWalk`; `global/pg_control`, which is
 * copied last, is not among it. Only names of one directory are in memory at a time.
 */
export async function* listDataDirectory(
  place: DataDirectoryPlace,
  options: ListOptions = {},
): AsyncGenerator<ListedEntry, undefined> {
  yield* walk({ ...place, signal: options.signal, statsLeft: statsAtOnce }, '')
  return undefined
}

/** How many files there are, and how many bytes in them. */
export async function measureDataDirectory(
  place: DataDirectoryPlace,
  options: ListOptions = {},
): Promise<{ readonly files: number; readonly bytes: number }> {
  let [files, bytes] = [0, 0]
  for await (const entry of listDataDirectory(place, options)) {
    if (entry.kind !== 'file') continue
    files += 1
    bytes += entry.sizeBytes
  }
  return { files, bytes }
}

interface Walk extends DataDirectoryPlace {
  readonly signal: AbortSignal | undefined
  statsLeft: number
}

/** So many files are looked at before anything else of this process has its turn. */
const statsAtOnce = 256

async function* walk(context: Walk, directory: string): AsyncGenerator<ListedEntry, undefined> {
  const names = (await unlessGone(readdir(join(context.dataDirectory, directory)))) ?? []
  const paths = names
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => (directory === '' ? name : `${directory}/${name}`))
  const keep = unloggedFilter(paths)
  for (const path of paths) {
    await takeTurn(context)
    // A name that is not UTF-8 cannot be opened by what readdir made of it.
    if (path.includes('\uFFFD')) {
      yield { kind: 'skipped', path }
      continue
    }
    const stats = statOf(context, path)
    if (stats === undefined) refuseDanglingTablespace(context, path)
    else if (stats.isDirectory()) yield* visitDirectory(context, path, stats)
    else if (!stats.isFile()) yield { kind: 'skipped', path }
    else if (path !== controlFilePath && keepsFile(path) && keep(path) && !isForeign(context, path)) {
      yield { kind: 'file', ...describeFile(path, stats) }
    }
  }
  return undefined
}

async function takeTurn(context: Walk): Promise<void> {
  context.signal?.throwIfAborted()
  context.statsLeft -= 1
  if (context.statsLeft > 0) return
  context.statsLeft = statsAtOnce
  await setImmediate()
}

/** Links are followed only where PostgreSQL makes them: `pg_wal` itself and tablespaces. */
function statOf({ dataDirectory }: Walk, path: string): BigIntStats | undefined {
  const full = join(dataDirectory, path)
  const options = { bigint: true, throwIfNoEntry: false } as const
  try {
    return path === 'pg_wal' || isTablespace(path) ? statSync(full, options) : lstatSync(full, options)
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

async function* visitDirectory(
  context: Walk,
  path: string,
  stats: BigIntStats,
): AsyncGenerator<ListedEntry, undefined> {
  const rule = directoryRule(path)
  if (rule === 'exclude' || isForeign(context, path)) return undefined
  // Tablespaces made in place (`allow_in_place_tablespaces`) are plain directories and need no note.
  const isLinked = isTablespace(path) && readLink(join(context.dataDirectory, path)) !== undefined
  const linkedTablespace = isLinked ? tablespaceOf(path) : undefined
  yield { kind: 'directory', path, mode: Number(stats.mode) & 0o7777, linkedTablespace }
  if (rule === 'keep') yield* walk(context, path)
  return undefined
}

function describeFile(path: string, stats: BigIntStats): ListedFile {
  const { mtimeNs, ctimeNs } = stats
  return {
    path,
    sizeBytes: Number(stats.size),
    mode: Number(stats.mode) & 0o7777,
    modifiedMs: Number(stats.mtimeMs),
    changedMs: Number(mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1e6,
    identity: fileIdentity(stats),
  }
}

/** What tells a file from what it was: any write sets its times anew, and a file in its place is another inode. */
export function fileIdentity({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join(' ')
}

function isTablespace(path: string): boolean {
  return /^pg_tblspc\/[^/]+$/.test(path)
}

/** A tablespace whose place is not there, for want of a mount perhaps, must not silently be missing in the backup. */
function refuseDanglingTablespace(context: Walk, path: string): void {
  if (!isTablespace(path)) return
  const location = readLink(join(context.dataDirectory, path))
  if (location === undefined) return
  throw new Fault(
    backupFaults['backup-file-missing'],
    `Cannot back up tablespace ${path}: its place ${location} does not exist`,
    { details: { path, location }, hint: 'Mount the file system of the tablespace, or drop the tablespace.' },
  )
}

/** Where a link leads; undefined when there is none. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (isGone(error) || (error instanceof Error && 'code' in error && error.code === 'EINVAL')) return undefined
    throw error
  }
}

/** A tablespace's place may be shared: with another major version, with anything a person puts there. */
function isForeign({ tablespaceDirectory }: Walk, path: string): boolean {
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
