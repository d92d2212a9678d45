import { createHash } from 'node:crypto'
import { fieldsOf } from './core/json-fields.ts'
import { Malformed } from './core/malformed.ts'
import { decodeObject } from './damage.ts'

export const formatVersion = 1

/**
 * JSON objects that people may read and that notice their own damage: the field `sha256`, last, is the hash of the
 * object without it, written as JSON.stringify() does without spaces.
 */
export function encodeCheckedJson(value: Readonly<Record<string, unknown>>): Uint8Array {
  return Buffer.from(`${JSON.stringify({ ...value, sha256: hashOf(value) }, null, 2)}\n`)
}

/** Reads it back and hands it to `decode`; throws `repository-object-damaged` or `-format-unsupported`. */
export function decodeCheckedJson<Result>(
  objectKey: string,
  bytes: Uint8Array,
  decode: (value: unknown) => Result,
): Result {
  return decodeObject(objectKey, () => {
    const { sha256, ...value } = parse(bytes)
    if (sha256 !== hashOf(value)) throw new Malformed('altered', 'its content does not fit its own hash')
    const format = fieldsOf(value, 'object').integer('format', 1)
    if (format !== formatVersion) throw new Malformed('unsupported', `format ${format} is unknown`)
    return decode(value)
  })
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Reported below, like any other content that is no JSON object.
  }
  throw new Malformed(bytes.at(-1) === 0x0a ? 'altered' : 'truncated', 'it is not a JSON object')
}

function hashOf(value: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}
