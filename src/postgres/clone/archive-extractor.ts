import { mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32cFinish, crc32cStart, crc32cUpdate } from '../../wal/core/crc32c.ts'
import type { ArchivePlace } from './core/tablespace-place.ts'
import { createTarReader, type TarEvent, type TarReader } from './core/tar-reader.ts'
import type { FileWriter } from './file-writer.ts'

export interface ReceivedFile {
  readonly sizeBytes: number
  readonly crc32c: number
}

export interface ArchiveExtractor {
  beginArchive(place: ArchivePlace): void
  write(data: Uint8Array): Promise<void>
  endArchive(): void
  /** Every file received, by its path in the manifest. */
  readonly files: ReadonlyMap<string, ReceivedFile>
  /** Every directory that got an entry. */
  readonly directories: ReadonlySet<string>
  /** The content of `global/pg_control`, which is not written here: whoever knows that all else is well writes it. */
  controlFile(): Uint8Array
}

const controlPath = 'global/pg_control'

/** Writes tar archives as they stream in and keeps the size and checksum of each file. */
export function createArchiveExtractor(
  writer: FileWriter,
  /** Where the link of a tablespace should point, by its path in the archive. */
  linkTarget: (path: string) => string,
): ArchiveExtractor {
  const files = new Map<string, ReceivedFile>()
  const directories = new Set<string>()
  const controlPieces: Uint8Array[] = []
  let archive: { readonly place: ArchivePlace; readonly reader: TarReader } | undefined
  let file: { readonly path: string; sizeBytes: number; crc: number } | undefined

  async function handle(event: TarEvent, place: ArchivePlace): Promise<void> {
    switch (event.kind) {
      case 'directory':
        await mkdir(join(place.directory, event.path), { recursive: true, mode: 0o700 })
        directories.add(join(place.directory, event.path))
        return
      case 'link':
        await symlink(linkTarget(event.path), join(place.directory, event.path))
        return
      case 'file': {
        const path = `${place.manifestPrefix}${event.path}`
        if (files.has(path)) throw new RangeError(`the archive holds ${path} twice`)
        file = { path, sizeBytes: event.sizeBytes, crc: crc32cStart }
        directories.add(dirname(join(place.directory, event.path)))
        if (path !== controlPath) writer.begin(join(place.directory, event.path))
        return
      }
      case 'data':
        file!.crc = crc32cUpdate(file!.crc, event.data)
        if (file!.path === controlPath) controlPieces.push(event.data)
        else await writer.append(event.data)
        return
      case 'file-end':
        files.set(file!.path, { sizeBytes: file!.sizeBytes, crc32c: crc32cFinish(file!.crc) })
        if (file!.path !== controlPath) await writer.end()
        return
      default:
        event satisfies never
    }
  }

  return {
    beginArchive(place) {
      archive = { place, reader: createTarReader() }
      directories.add(place.directory)
    },
    async write(data) {
      if (archive === undefined) throw new RangeError('data came before the archive it belongs to')
      for (const event of archive.reader.push(data)) await handle(event, archive.place)
    },
    endArchive() {
      archive?.reader.finish()
      archive = undefined
    },
    files,
    directories,
    controlFile() {
      if (!files.has(controlPath)) throw new RangeError(`the backup holds no ${controlPath}`)
      return Buffer.concat(controlPieces)
    },
  }
}
