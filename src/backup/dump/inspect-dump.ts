import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Malformed } from '../../repository/core/malformed.ts'
import type { KeyAccess } from '../../repository/openpgp-keys.ts'
import { Fault } from '../../std/fault.ts'
import type { DumpContent } from './core/dump-name.ts'
import type { DumpSource } from './dump-source.ts'
import { dumpFaults } from './faults.ts'
import { WrongKey, openMessage } from './openpgp/open-message.ts'

/** A dump that was read to its end once and is whole. */
export interface InspectedDump {
  readonly source: DumpSource
  /** `globals`: the roles of a server, as pg_dumpall writes them. */
  readonly content: DumpContent | 'globals'
  /** What pg_dump wrote, from the beginning; throws the faults of {@link inspectDump} should the file have changed. */
  open(signal?: AbortSignal): AsyncIterable<Uint8Array>
}

const customMagic = 'PGDMP'
const globalsTitle = '-- PostgreSQL database cluster dump'
/** A line that takes psql to another database. Rows of COPY double their backslashes, so no data looks like it. */
const switchLine = /\n\\c(onnect)?[ \t]/

/**
 * Reads a dump to its end without using any of it: the hash that lies beside it, the key, the modification code, and what
 * it holds. Throws `dump-damaged`, `dump-wrong-key`, `dump-format-unsupported` or `dump-switches-database`.
 */
export async function inspectDump(source: DumpSource, access: KeyAccess, signal?: AbortSignal): Promise<InspectedDump> {
  if (access.passphrase === undefined && access.privateKey === undefined) {
    throw new Fault(dumpFaults['dump-no-key'], `Cannot open ${source.name}: neither a passphrase nor a key was given`)
  }
  await requireHash(source, signal)
  const decrypted = (abort?: AbortSignal): AsyncIterable<Uint8Array> =>
    naming(source, openMessage(source.open(abort), access))
  const outer = await readWhole(decrypted(signal))
  const zipped = outer[0] === 0x1f && outer[1] === 0x8b
  const open = (abort?: AbortSignal): AsyncIterable<Uint8Array> =>
    zipped ? naming(source, gunzipped(decrypted(abort))) : decrypted(abort)
  const head = zipped ? await readWhole(open(signal)) : outer
  if (head.toString('latin1').startsWith(customMagic)) return { source, content: 'custom', open }
  if (head.includes(0)) throw unsupported(source, 'what is encrypted in it is neither SQL nor a custom archive')
  await requireOneDatabase(source, open(signal))
  return { source, content: head.includes(globalsTitle) ? 'globals' : 'plain', open }
}

async function requireHash(source: DumpSource, signal?: AbortSignal): Promise<void> {
  if (source.sha256 === undefined) return
  const hash = createHash('sha256')
  for await (const chunk of source.open(signal)) hash.update(chunk)
  if (hash.digest('hex') === source.sha256) return
  throw damaged(source, 'it does not have the SHA-256 that was recorded for it')
}

/** The first bytes of a stream that was read to its end. */
async function readWhole(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of stream) {
    if (sizeBytes < 1024) parts.push(chunk.slice(0, 1024))
    sizeBytes += chunk.length
  }
  return Buffer.concat(parts)
}

async function requireOneDatabase(source: DumpSource, text: AsyncIterable<Uint8Array>): Promise<void> {
  let before = '\n'
  let switches = false
  for await (const chunk of text) {
    const piece = before + Buffer.from(chunk).toString('latin1')
    switches ||= switchLine.test(piece)
    before = piece.slice(-12)
  }
  if (!switches) return
  const message = `Cannot load ${source.name}: it connects to databases of its own choice`
  throw new Fault(dumpFaults['dump-switches-database'], message, { details: { dump: source.name } })
}

async function* gunzipped(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: 1 << 18 })
  const packed = Readable.from(stream, { objectMode: false })
  packed.on('error', (error) => gunzip.destroy(error))
  try {
    yield* packed.pipe(gunzip) as AsyncIterable<Uint8Array>
  } finally {
    packed.destroy()
  }
}

/** Turns what reading a message throws into faults that name the dump. */
async function* naming(source: DumpSource, stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* stream
  } catch (error) {
    if (error instanceof WrongKey) {
      const message = `Cannot open ${source.name}: the passphrase or private key is not the one it was made for`
      throw new Fault(dumpFaults['dump-wrong-key'], message, { details: { dump: source.name }, cause: error })
    }
    if (error instanceof Malformed) {
      throw error.problem === 'unsupported' ? unsupported(source, error.message) : damaged(source, error.message)
    }
    if (String((error as NodeJS.ErrnoException).code).startsWith('Z_')) {
      throw damaged(source, 'what is compressed in it is damaged')
    }
    throw error
  }
}

function damaged(source: DumpSource, because: string): Fault {
  const message = `Cannot use ${source.name}: ${because}`
  return new Fault(dumpFaults['dump-damaged'], message, { details: { dump: source.name } })
}

function unsupported(source: DumpSource, because: string): Fault {
  const message = `Cannot read ${source.name}: ${because}`
  return new Fault(dumpFaults['dump-format-unsupported'], message, { details: { dump: source.name } })
}
