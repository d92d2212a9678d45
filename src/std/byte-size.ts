/** An amount of data, as configuration and command line give it. Units are PostgreSQL's: 1 kB is 1024 bytes. */
export interface ByteSize {
  readonly bytes: number
}

const unitNames = ['B', 'kB', 'MB', 'GB', 'TB'] as const
const pattern = /^(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$/i

/** Reads `512MB`, `16 kB`, `1.5GB`; undefined when the text is no size. */
export function parseByteSize(text: string): ByteSize | undefined {
  const match = pattern.exec(text.trim())
  if (match === null) return undefined
  const power = 'bkmgt'.indexOf((match[2] as string).charAt(0).toLowerCase())
  return { bytes: Math.round(Number(match[1]) * 1024 ** power) }
}

/** Writes a size so that {@link parseByteSize} reads the same one back: the largest unit that divides it. */
export function formatByteSize(size: ByteSize): string {
  let value = size.bytes
  let power = 0
  while (value > 0 && value % 1024 === 0 && power < unitNames.length - 1) {
    value /= 1024
    power += 1
  }
  return `${value}${unitNames[power]}`
}

/** Writes an amount for people, rounded: `0 B`, `812 B`, `16.0 MB`, `1.2 GB`. */
export function describeBytes(bytes: number): string {
  let value = bytes
  let power = 0
  while (Math.abs(value) >= 1024 && power < unitNames.length - 1) {
    value /= 1024
    power += 1
  }
  return power === 0 ? `${Math.round(value)} B` : `${value.toFixed(value < 100 ? 1 : 0)} ${unitNames[power]}`
}
