/** What a tar stream holds, in its order. `data` and `file-end` belong to the last `file`. */
export type TarEvent =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'file-end' }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }

export interface TarReader {
  /** Takes bytes as they came, cut anywhere, and gives the events they complete. File data is not copied. */
  push(chunk: Uint8Array): TarEvent[]
  /** Throws a RangeError when the archive stopped before its end. */
  finish(): void
}

const blockBytes = 512

/**
 * Reads the archives that PostgreSQL's base backup writes (src/port/tar.c of PostgreSQL 18): ustar headers, sizes in octal
 * or base 256, regular files, directories and symbolic links; names over 99 bytes do not occur, since the server refuses
 * to send them. Paths come out relative, without `.` or `..`. Throws a RangeError on anything else.
 */
export function createTarReader(): TarReader {
  const header = new Uint8Array(blockBytes)
  let headerFilled = 0
  let dataLeft = 0
  let paddingLeft = 0
  let inFile = false
  let ended = false

  function takeHeader(events: TarEvent[]): void {
    if (header.every((byte) => byte === 0)) {
      ended = true
      return
    }
    if (ended) throw new RangeError('the archive goes on after its end')
    const entry = parseHeader(header)
    events.push(entry)
    if (entry.kind !== 'file') return
    dataLeft = entry.sizeBytes
    paddingLeft = (blockBytes - (entry.sizeBytes % blockBytes)) % blockBytes
    inFile = true
  }

  function push(chunk: Uint8Array): TarEvent[] {
    const events: TarEvent[] = []
    let offset = 0
    for (;;) {
      if (inFile && dataLeft === 0) {
        events.push({ kind: 'file-end' })
        inFile = false
      }
      if (offset === chunk.length) return events
      const available = chunk.length - offset
      if (dataLeft > 0) {
        const taken = Math.min(dataLeft, available)
        events.push({ kind: 'data', data: chunk.subarray(offset, offset + taken) })
        dataLeft -= taken
        offset += taken
      } else if (paddingLeft > 0) {
        const taken = Math.min(paddingLeft, available)
        paddingLeft -= taken
        offset += taken
      } else {
        const taken = Math.min(blockBytes - headerFilled, available)
        header.set(chunk.subarray(offset, offset + taken), headerFilled)
        headerFilled += taken
        offset += taken
        if (headerFilled === blockBytes) {
          headerFilled = 0
          takeHeader(events)
        }
      }
    }
  }

  function finish(): void {
    if (!ended || headerFilled > 0 || inFile || paddingLeft > 0)
      throw new RangeError('the archive stops before its end')
  }

  return { push, finish }
}

/** The value of the type byte at offset 156. */
const fileTypes = new Set([0, '0'.charCodeAt(0)])
const linkType = '2'.charCodeAt(0)
const directoryType = '5'.charCodeAt(0)

function parseHeader(header: Uint8Array): Exclude<TarEvent, { kind: 'data' | 'file-end' }> {
  const claimed = parseNumber(header.subarray(148, 156))
  const computed = header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 0x20 : byte), 0)
  if (claimed !== computed) throw new RangeError('a header of the archive has a wrong checksum')
  const prefix = parseText(header.subarray(345, 500))
  const name = parseText(header.subarray(0, 100))
  const path = safePath(prefix === '' ? name : `${prefix}/${name}`)
  const type = header[156]!
  if (fileTypes.has(type)) return { kind: 'file', path, sizeBytes: parseNumber(header.subarray(124, 136)) }
  if (type === directoryType) return { kind: 'directory', path }
  if (type === linkType) return { kind: 'link', path, target: parseText(header.subarray(157, 257)) }
  throw new RangeError(`the archive holds ${path} of the unknown type 0x${type.toString(16)}`)
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function parseText(field: Uint8Array): string {
  const end = field.indexOf(0)
  const bytes = end < 0 ? field : field.subarray(0, end)
  try {
    return decoder.decode(bytes)
  } catch {
    throw new RangeError('the archive holds a file name that is not UTF-8')
  }
}

/** Octal text, or with the top bit of the first byte set a big-endian number in the other bytes. */
function parseNumber(field: Uint8Array): number {
  let value = 0
  if (field[0]! >= 0x80) {
    for (const byte of field.subarray(1)) value = value * 256 + byte
  } else {
    const text = String.fromCharCode(...field)
      .replaceAll('\0', ' ')
      .trim()
    if (!/^[0-7]*$/.test(text)) throw new RangeError('a header of the archive holds a number that is not octal')
    value = text === '' ? 0 : Number.parseInt(text, 8)
  }
  if (!Number.isSafeInteger(value)) throw new RangeError('a header of the archive holds an impossible number')
  return value
}

/** A path that stays inside the directory it is joined to. */
function safePath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (path.startsWith('/') || parts.includes('..')) {
    throw new RangeError(`the archive holds the path ${path}, which leads out of the data directory`)
  }
  return parts.join('/')
}
