import { createReadStream } from 'node:fs'
import { access, constants, readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { decodeCheckedJson } from '../../repository/checked-json.ts'
import { dumpObject, dumpPartObject } from '../../repository/core/object-names.ts'
import type { Repository } from '../../repository/repository.ts'
import { readIfStored, readStored } from '../../repository/stored-objects.ts'
import { Fault } from '../../std/fault.ts'
import { isDumpFileName } from './core/dump-name.ts'
import { dumpRecordFromJson } from './core/dump-record.ts'
import type { DumpRecord } from './core/dump-record.ts'
import { checksumName, recordName } from './dump-sink.ts'
import { dumpFaults } from './faults.ts'

/** A dump to be loaded, ours or another's. */
export interface DumpSource {
  /** For messages. */
  readonly name: string
  /** Reads it from its beginning, as often as wanted. */
  open(signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** From the file of sha256sum beside it; undefined where there is none. */
  readonly sha256: string | undefined
  /** From our JSON beside it; undefined where there is none of ours. */
  readonly record: DumpRecord | undefined
}

/** A dump in a file. Throws `dump-not-found`. */
export async function openFileSource(path: string): Promise<DumpSource> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() !== true) {
    throw new Fault(dumpFaults['dump-not-found'], `Cannot load ${path}: there is no such file`, { details: { path } })
  }
  await access(path, constants.R_OK).catch((cause: unknown) => {
    const message = `Cannot load ${path}: this user may not read it`
    throw new Fault(dumpFaults['dump-not-found'], message, { cause, details: { path } })
  })
  const beside = async (name: string): Promise<Buffer | undefined> => await readFile(name).catch(absent)
  const checksum = await beside(checksumName(path))
  return {
    name: path,
    open: async function* (signal) {
      for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
        signal?.throwIfAborted()
        yield chunk as Uint8Array
      }
    },
    sha256: checksum === undefined ? undefined : parseChecksum(path, checksum),
    record: parseRecord(basename(path), await beside(recordName(path))),
  }
}

/** A dump in a repository, by the name of its file. Throws `dump-not-found`. */
export async function openRepositorySource(
  repository: Repository,
  cluster: string,
  file: string,
  signal?: AbortSignal,
): Promise<DumpSource> {
  const { store } = repository
  const key = recordName(dumpObject(cluster, file))
  const json = isDumpFileName(file) ? await readIfStored(store, key, { signal }) : undefined
  if (json === undefined) {
    const message = `Cannot load ${file}: ${store.description} has no such dump of cluster ${cluster}`
    throw new Fault(dumpFaults['dump-not-found'], message, { details: { file, cluster } })
  }
  const record = decodeCheckedJson(key, json, dumpRecordFromJson)
  return {
    name: file,
    open: async function* (abort) {
      for (let part = 0; part < record.parts; part += 1) {
        const object = record.parts === 1 ? dumpObject(cluster, file) : dumpPartObject(cluster, file, part)
        yield await readStored(store, object, { signal: abort })
      }
    },
    sha256: record.fileSha256,
    record,
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function parseChecksum(path: string, bytes: Uint8Array): string {
  const line = /^\\?([0-9a-fA-F]{64})(\s|$)/.exec(Buffer.from(bytes).toString('latin1'))
  if (line?.[1] !== undefined) return line[1].toLowerCase()
  throw new Fault(dumpFaults['dump-damaged'], `Cannot check ${path}: ${checksumName(path)} holds no SHA-256`, {
    hint: 'Look at that file; remove it to load the dump without it, which its own encryption still protects.',
    details: { path },
  })
}

/** JSON of other programs beside a dump is no concern of ours, nor is ours beside another file. */
function parseRecord(file: string, bytes: Buffer | undefined): DumpRecord | undefined {
  if (bytes === undefined) return undefined
  try {
    const record = decodeCheckedJson(recordName(file), bytes, dumpRecordFromJson)
    return record.file === file ? record : undefined
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}
