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
 * Walks through what a backup of a data directory holds, in the order of `compareInWalk`, and gives it in pieces of a few
 * hundred; `global/pg_control`, which is copied last, is not among it. In memory are the names of one directory at a time,
 * and of those above it. Throws `backup-file-missing` when there is no data directory.
 */
export async function* listDataDirectory(
  place: DataDirectoryPlace,
  { signal }: ListOptions = {},
): AsyncGenerator<readonly ListedEntry[], undefined> {
  const way: OpenDirectory[] = [await openDirectory(place, '')]
  if (way[0]?.names.length === 0) throw missing(place.dataDirectory)
  let piece: ListedEntry[] = []
  for (let looked = 1; ; looked++) {
    const current = way.at(-1)
    if (current === undefined) break
    const name = current.names[current.next++]
    if (name === undefined) way.pop()
    else {
      const path = current.path === '' ? name : `${current.path}/${name}`
      const entry = look(place, path, current.keep)
      if (entry !== undefined) piece.push(entry)
      if (entry?.kind === 'directory' && directoryRule(path) === 'keep') way.push(await openDirectory(place, path))
    }
    if (looked % pieceLength !== 0) continue
    // Looking at files blocks this thread: everything else in it has its turn now.
    await setImmediate()
    signal?.throwIfAborted()
    yield piece
    piece = []
  }
  signal?.throwIfAborted()
  yield piece
  return undefined
}

/** How many files there are, and how many bytes in them. */
export async function measureDataDirectory(
  place: DataDirectoryPlace,
  options: ListOptions = {},
): Promise<{ readonly files: number; readonly bytes: number }> {
  let [files, bytes] = [0, 0]
  for await (const piece of listDataDirectory(place, options)) {
    for (const entry of piece) {
      if (entry.kind !== 'file') continue
      files += 1
      bytes += entry.sizeBytes
    }
  }
  return { files, bytes }
}

const pieceLength = 256

interface OpenDirectory {
  readonly path: string
  readonly names: readonly string[]
  /** Leaves out what is unlogged. */
  readonly keep: (path: string) => boolean
  next: number
}

async function openDirectory({ dataDirectory }: DataDirectoryPlace, path: string): Promise<OpenDirectory> {
  const names = (await unlessGone(readdir(join(dataDirectory, path)))) ?? []
  names.sort((a, b) => (a < b ? -1 : 1))
  const initForks = names.filter((name) => name.includes('_init')).map((name) => `${path}/${name}`)
  return { path, names, keep: unloggedFilter(initForks), next: 0 }
}

/** Undefined for what does not belong into the backup, or is not there any more. */
function look(place: DataDirectoryPlace, path: string, keep: (path: string) => boolean): ListedEntry | undefined {
  // A name that is not UTF-8 cannot be opened by what readdir made of it.
  if (path.includes('\uFFFD')) return { kind: 'skipped', path }
  const stats = statOf(place, path)
  if (stats === undefined) {
    refuseDanglingTablespace(place, path)
    return undefined
  }
  if (stats.isDirectory()) return describeDirectory(place, path, stats)
  if (!stats.isFile()) return { kind: 'skipped', path }
  const belongs = path !== controlFilePath && keepsFile(path) && keep(path) && !isForeign(place, path)
  return belongs ? describeFile(path, stats) : undefined
}

/** Links are followed only where PostgreSQL makes them: `pg_wal` itself and tablespaces. */
function statOf({ dataDirectory }: DataDirectoryPlace, path: string): BigIntStats | undefined {
  const full = join(dataDirectory, path)
  const options = { bigint: true, throwIfNoEntry: false } as const
  try {
    return path === 'pg_wal' || isTablespace(path) ? statSync(full, options) : lstatSync(full, options)
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

function describeDirectory(place: DataDirectoryPlace, path: string, stats: BigIntStats): ListedEntry | undefined {
  if (directoryRule(path) === 'exclude' || isForeign(place, path)) return undefined
  // Tablespaces made in place (`allow_in_place_tablespaces`) are plain directories and need no note.
  const isLinked = isTablespace(path) && readLink(join(place.dataDirectory, path)) !== undefined
  const linkedTablespace = isLinked ? tablespaceOf(path) : undefined
  return { kind: 'directory', path, mode: Number(stats.mode) & 0o7777, linkedTablespace }
}

function describeFile(path: string, stats: BigIntStats): ListedEntry {
  const { mtimeNs, ctimeNs } = stats
  return {
    kind: 'file',
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
function refuseDanglingTablespace({ dataDirectory }: DataDirectoryPlace, path: string): void {
  if (!isTablespace(path)) return
  const location = readLink(join(dataDirectory, path))
  if (location === undefined) return
  throw new Fault(
    backupFaults['backup-file-missing'],
    `Cannot back up tablespace ${path}: its place ${location} does not exist`,
    { details: { path, location }, hint: 'Mount the file system of the tablespace, or drop the tablespace.' },
  )
}

function missing(dataDirectory: string): Fault {
  return new Fault(backupFaults['backup-file-missing'], `Cannot back up ${dataDirectory}: it is empty or not there`, {
    details: { path: dataDirectory },
  })
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
function isForeign({ tablespaceDirectory }: DataDirectoryPlace, path: string): boolean {
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
