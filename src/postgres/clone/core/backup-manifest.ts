/** PostgreSQL's list of everything that belongs to a base backup (PostgreSQL 18 "Backup Manifest Format"). */
export interface BackupManifest {
  /** Since PostgreSQL 17. */
  readonly systemIdentifier: bigint | undefined
  readonly files: readonly ManifestFile[]
}

export interface ManifestFile {
  readonly path: string
  readonly sizeBytes: number
  readonly checksum: { readonly algorithm: string; readonly hex: string } | undefined
}

/** Sizes and checksums of what was received, by path. */
export type ReceivedFiles = ReadonlyMap<string, { readonly sizeBytes: number; readonly crc32c: number }>

/** Parts of a manifest's bytes: what its own checksum (SHA-256, hexadecimal) covers, and that checksum. */
export function splitManifest(bytes: Uint8Array): { readonly covered: Uint8Array; readonly sha256: string } {
  const newline = 0x0a
  const end = bytes.at(-1) === newline ? bytes.length - 1 : bytes.length
  const lastLine = bytes.lastIndexOf(newline, end - 1) + 1
  const match = /^"Manifest-Checksum": "([0-9a-f]{64})"\}$/.exec(
    new TextDecoder().decode(bytes.subarray(lastLine, end)),
  )
  if (match === null) throw new RangeError('the manifest does not end with its checksum')
  return { covered: bytes.subarray(0, lastLine), sha256: match[1]! }
}

export function parseManifest(bytes: Uint8Array): BackupManifest {
  // Read without rounding: the system identifier is beyond what a number holds exactly.
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  const systemIdentifier = /"System-Identifier": (\d+)/.exec(text.slice(0, 200))?.[1]
  const content: unknown = JSON.parse(text)
  if (!isRecord(content) || !Array.isArray(content['Files'])) throw new RangeError('the manifest lists no files')
  return {
    systemIdentifier: systemIdentifier === undefined ? undefined : BigInt(systemIdentifier),
    files: content['Files'].map(parseFile),
  }
}

function parseFile(file: unknown): ManifestFile {
  if (!isRecord(file) || typeof file['Size'] !== 'number')
    throw new RangeError('the manifest holds a file without a size')
  const { Path: path, Size: sizeBytes, Checksum: hex, 'Checksum-Algorithm': algorithm } = file
  if (typeof path !== 'string') throw new RangeError('the manifest holds a file name that is not UTF-8')
  const checksum = typeof hex === 'string' && typeof algorithm === 'string' ? { algorithm, hex } : undefined
  return { path, sizeBytes, checksum }
}

/** Every difference between a manifest and what was received, a sentence each; none when all is as it should be. */
export function compareWithManifest(manifest: BackupManifest, received: ReceivedFiles): string[] {
  const differences: string[] = []
  const listed = new Set<string>()
  for (const file of manifest.files) {
    listed.add(file.path)
    const got = received.get(file.path)
    if (got === undefined) differences.push(`${file.path} is missing`)
    else if (got.sizeBytes !== file.sizeBytes) {
      differences.push(`${file.path} has ${got.sizeBytes} bytes instead of ${file.sizeBytes}`)
    } else if (file.checksum?.algorithm !== 'CRC32C') differences.push(`${file.path} is listed without a CRC32C`)
    else if (manifestHex(got.crc32c) !== file.checksum.hex) differences.push(`${file.path} has a wrong checksum`)
  }
  for (const path of received.keys()) if (!listed.has(path)) differences.push(`${path} is not in the manifest`)
  return differences
}

/** The server writes the checksum's four bytes as they lie in its memory: little-endian on every platform we run on. */
function manifestHex(crc32c: number): string {
  const bytes = [crc32c, crc32c >>> 8, crc32c >>> 16, crc32c >>> 24].map((shifted) => shifted & 255)
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
