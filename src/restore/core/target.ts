import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/**
 * Where recovery shall end. `latest` is the last complete record that the repository holds; `immediate` the end of the
 * backup itself. An exclusive target stops just before the named transaction, position or moment.
 */
export type RecoveryTarget =
  | { readonly kind: 'latest' }
  | { readonly kind: 'immediate' }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'xid'; readonly xid: bigint; readonly inclusive: boolean }
  | { readonly kind: 'lsn'; readonly lsn: Lsn; readonly inclusive: boolean }
  /** `epochMicros` because PostgreSQL's commit times have microseconds: a moment must not be rounded past a commit. */
  | { readonly kind: 'time'; readonly epochMicros: bigint; readonly inclusive: boolean }

/** `latest`: the newest timeline of the repository; `current`: the backup's own. */
export type TargetTimeline = 'latest' | 'current' | TimelineId

/** Says a target in words, for messages and reports. */
export function describeRecoveryTarget(target: RecoveryTarget): string {
  const side = 'inclusive' in target && !target.inclusive ? 'just before ' : ''
  switch (target.kind) {
    case 'latest':
      return 'the end of the archived WAL'
    case 'immediate':
      return 'the end of the backup'
    case 'name':
      return `restore point "${target.name}"`
    case 'xid':
      return `${side}transaction ${target.xid}`
    case 'lsn':
      return `${side}position ${formatLsn(target.lsn)}`
    case 'time':
      return `${side}${formatMicros(target.epochMicros)}`
    default:
      return target satisfies never
  }
}

/** Writes microseconds since 1970 as `2026-11-22 13:00:00.123456+00`, which PostgreSQL reads whatever its time zone. */
export function formatMicros(epochMicros: bigint): string {
  const micros = ((epochMicros % 1_000_000n) + 1_000_000n) % 1_000_000n
  const seconds = Number((epochMicros - micros) / 1_000_000n)
  const text = new Date(seconds * 1000).toISOString()
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${micros.toString().padStart(6, '0')}+00`
}

const moment = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,6})\d*)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)$/

/**
 * Reads a moment to the microsecond: `2026-11-22 13:00:00.123456+02`, `2026-11-22T13:00Z`. Undefined when the text is no
 * moment or names no time zone: a target that depends on the reader's zone is how the wrong hour gets restored.
 */
export function parseMoment(text: string): bigint | undefined {
  const match = moment.exec(text.trim())
  if (match === null) return undefined
  const [, date = '', time = '', fraction = '', zone = ''] = match
  const seconds = time.length === 5 ? `${time}:00` : time
  const epochMs = Date.parse(`${date}T${seconds}${isoZone(zone)}`)
  if (Number.isNaN(epochMs)) return undefined
  return BigInt(epochMs) * 1000n + BigInt(fraction.padEnd(6, '0'))
}

function isoZone(zone: string): string {
  if (zone === 'Z' || zone === 'UTC') return 'Z'
  const digits = zone.slice(1).replace(':', '').padEnd(4, '0')
  return `${zone.slice(0, 1)}${digits.slice(0, 2)}:${digits.slice(2)}`
}
