import type { EpochMs } from '../../std/clock.ts'
import { factsFromJson, factsToJson, type BackupFacts } from './backup-facts.ts'
import { chunkCount, chunkHashBytes } from './chunks.ts'
import { fieldsOf, type Fields } from './json-fields.ts'
import { Malformed } from './malformed.ts'
import { pagesPerRecord, unmappedPages, type PageMap, type PageRun } from './page-map.ts'

/** Everything needed to lay out the data directory again. */
export interface Manifest extends ManifestHead {
  /** In the order they were written; directories before what is in them. */
  readonly files: readonly ManifestFile[]
}

/** What a manifest says of the backup as a whole. */
export interface ManifestHead {
  readonly facts: BackupFacts
  /** The content of `backup_label`, and of `tablespace_map` where there are tablespaces, from pg_backup_stop(). */
  readonly backupLabel: string
  readonly tablespaceMap: string | null
  readonly tablespaces: readonly Tablespace[]
  readonly origin?: BackupOrigin | undefined
  /** The key of {@link PageFile.hashes}; a backup has that of its parent. */
  readonly chunkKey?: string | undefined
}

/** Where the files were read, for the next backup to tell what changed. A restore does not need it. */
export interface BackupOrigin {
  /** Equal as long as the data directory was not moved or made anew and its machine not started again. */
  readonly incarnation: string | undefined
  /** By oid of a database, a text that is another one when the database was dropped and made anew. */
  readonly databases: Readonly<Record<string, string>>
  /** By backup that did not come to its end: the one that took over packs of it. */
  readonly takenOver?: Readonly<Record<string, string>> | undefined
}

export interface Tablespace {
  readonly oid: number
  /** Where it was on the server that was backed up. Its files have paths below `pg_tblspc/<oid>/`. */
  readonly location: string
}

/** Paths are relative to the data directory, with `/`, never leaving it. */
export type ManifestFile = DirectoryEntry | PageFile | WholeFile

export interface DirectoryEntry {
  readonly kind: 'directory'
  readonly path: string
  /** Permission bits: 0o700. */
  readonly mode: number
}

/** A segment file of a relation, page by page. Its size is a multiple of the page size. */
export interface PageFile {
  readonly kind: 'pages'
  readonly path: string
  readonly sizeBytes: number
  readonly mode: number
  readonly modifiedAt: EpochMs
  readonly identity?: string | undefined
  /** The hashes of its chunks in base64, for telling whether a file has this content. Backups of old have none. */
  readonly hashes?: string | undefined
  readonly map: PageMap
}

/** Any other file: the contents of its records, one after the other. */
export interface WholeFile {
  readonly kind: 'whole'
  readonly path: string
  readonly sizeBytes: number
  readonly mode: number
  readonly modifiedAt: EpochMs
  /** In the same incarnation, equal only for the same file that was not written to since. */
  readonly identity?: string | undefined
  readonly hashes?: string | undefined
  readonly parts: readonly FilePart[]
}

/** Consecutive records of one pack. */
export interface FilePart {
  readonly pack: number
  readonly record: number
  readonly count: number
}

/** The first line of a manifest, and then one for each file; each with its line break. */
export function encodeManifestHead(head: ManifestHead): string {
  const { facts, backupLabel, tablespaceMap, tablespaces, origin, chunkKey } = head
  return `${JSON.stringify({ facts: factsToJson(facts), backupLabel, tablespaceMap, tablespaces, origin, chunkKey })}\n`
}

export function encodeManifestFile(file: ManifestFile): string {
  return `${JSON.stringify(fileToJson(file))}\n`
}

/** Reads the first line back. Throws {@link Malformed} naming the field that is wrong. */
export function decodeManifestHead(line: string | undefined): ManifestHead {
  if (line === undefined) throw new Malformed('truncated', 'the manifest is empty')
  return headFromJson(parseJson(line, 1))
}

/**
 * Reads the other lines back, one after the other, so that a manifest need not be in memory. Throws {@link Malformed}
 * naming the line and the field that is wrong; that lines are missing shows at the end.
 */
export function* decodeManifestFiles(lines: Iterable<string>, facts: BackupFacts): Generator<ManifestFile> {
  let count = 0
  for (const line of lines) {
    count += 1
    const number = count + 1
    yield fileFromJson(fieldsOf(parseJson(line, number), `line ${number}`), facts)
  }
  if (count === facts.fileCount) return
  throw new Malformed('truncated', `the manifest lists ${count} of ${facts.fileCount} files`)
}

function headFromJson(value: unknown): ManifestHead {
  const fields = fieldsOf(value, 'line 1')
  const origin = fields.optionalObject('origin')
  const chunkKey = fields.optionalText('chunkKey')
  return {
    facts: factsFromJson(fields.object('facts').raw, 'line 1.facts'),
    backupLabel: fields.text('backupLabel'),
    tablespaceMap: fields.optionalText('tablespaceMap'),
    tablespaces: fields.objects('tablespaces').map((entry) => ({
      oid: entry.integer('oid', 1),
      location: entry.text('location'),
    })),
    ...(origin === undefined ? {} : { origin: originOf(origin) }),
    ...(chunkKey === null ? {} : { chunkKey }),
  }
}

function originOf(fields: Fields): BackupOrigin {
  const takenOver = fields.optionalObject('takenOver') === undefined ? {} : { takenOver: fields.texts('takenOver') }
  const incarnation = fields.optionalText('incarnation') ?? undefined
  return { incarnation, databases: fields.texts('databases'), ...takenOver }
}

function fileToJson(file: ManifestFile): Record<string, unknown> {
  if (file.kind === 'directory') return { path: file.path, kind: file.kind, mode: file.mode }
  const common = {
    path: file.path,
    kind: file.kind,
    size: file.sizeBytes,
    mode: file.mode,
    mtime: new Date(file.modifiedAt).toISOString(),
    identity: file.identity,
    hashes: file.hashes,
  }
  if (file.kind === 'whole') return { ...common, parts: file.parts.map((part) => [part.pack, part.record, part.count]) }
  return { ...common, map: file.map.map((run) => [run.startPage, run.count, run.pack, run.record, run.slot]) }
}

function fileFromJson(fields: Fields, facts: BackupFacts): ManifestFile {
  const kind = fields.choice('kind', ['directory', 'pages', 'whole'])
  const path = pathOf(fields)
  const mode = fields.integer('mode')
  if (kind === 'directory') return { kind, path, mode }
  const sizeBytes = fields.integer('size')
  const identity = fields.optionalText('identity')
  const hashes = hashesOf(fields, sizeBytes)
  const common = {
    path,
    sizeBytes,
    mode,
    modifiedAt: fields.time('mtime'),
    ...(identity === null ? {} : { identity }),
    ...(hashes === null ? {} : { hashes }),
  }
  return kind === 'whole'
    ? { kind, ...common, parts: partsOf(fields, facts) }
    : { kind, ...common, map: mapOf(fields, facts, sizeBytes) }
}

function hashesOf(fields: Fields, sizeBytes: number): string | null {
  const hashes = fields.optionalText('hashes')
  if (hashes === null || hashes.length === base64Length(chunkCount(sizeBytes) * chunkHashBytes)) return hashes
  throw new Malformed('altered', `${fields.where}.hashes is not of a file of ${sizeBytes} bytes`)
}

function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4
}

function partsOf(fields: Fields, facts: BackupFacts): FilePart[] {
  return fields.numberRows('parts', 3).map(([pack = 0, record = 0, count = 0]) => {
    assertPack(fields, pack, facts)
    return { pack, record, count }
  })
}

function mapOf(fields: Fields, facts: BackupFacts, sizeBytes: number): PageMap {
  const map: PageRun[] = []
  let end = 0
  for (const [startPage = 0, count = 0, pack = 0, record = 0, slot = 0] of fields.numberRows('map', 5)) {
    assertPack(fields, pack, facts)
    if (startPage < end || count === 0 || slot >= pagesPerRecord) {
      throw new Malformed('altered', `${fields.where}.map has an impossible run at page ${startPage}`)
    }
    map.push({ startPage, count, pack, record, slot })
    end = startPage + count
  }
  const pageCount = sizeBytes / facts.pageBytes
  const gap = unmappedPages(map, pageCount)[0]
  if (!Number.isInteger(pageCount) || end > pageCount || gap !== undefined) {
    throw new Malformed('altered', `${fields.where}.map does not cover exactly the ${sizeBytes} bytes of the file`)
  }
  return map
}

function assertPack(fields: Fields, pack: number, facts: BackupFacts): void {
  if (pack < facts.packs.length) return
  throw new Malformed('altered', `${fields.where} refers to pack ${pack} of ${facts.packs.length}`)
}

/** A manifest is authenticated, but a path that leaves the data directory must not be followed even so. */
function pathOf(fields: Fields): string {
  const path = fields.text('path')
  const safe = !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (!safe) throw new Malformed('altered', `${fields.where}.path leaves the data directory: ${JSON.stringify(path)}`)
  return path
}

function parseJson(line: string, number: number): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new Malformed('altered', `line ${number} is not JSON`)
  }
}
