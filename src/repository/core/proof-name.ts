import type { EpochMs } from '../../std/clock.ts'

/** What a verification looks at; each level includes those below it. */
export const verificationLevels = [0, 1, 2, 3, 4] as const
export type VerificationLevel = (typeof verificationLevels)[number]
/** The highest that `holdfast verify` can do. */
export const highestVerification: VerificationLevel = 4

/**
 * The name of a proof says the most important of it, so that what was last proven is found in a listing. `place` is what
 * the configuration calls the repository that was looked at: copies of it hold each other's proofs.
 */
export type ProofName = { readonly at: EpochMs; readonly place: string; readonly id: string } & (
  | {
      readonly kind: 'verification'
      readonly requested: VerificationLevel
      /** The highest level of which everything was seen to be good; null when not even the lowest was. */
      readonly proven: VerificationLevel | null
    }
  | { readonly kind: 'keys'; readonly passed: boolean }
)

const pattern =
  /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([a-z][a-z0-9-]{0,39})-(?:l([0-4])-p([0-4n])|keys-(ok|bad))-[0-9a-f]{8}$/

export function proofName(proof: {
  readonly at: EpochMs
  readonly place: string
  readonly result:
    | { readonly requested: VerificationLevel; readonly proven: VerificationLevel | null }
    | { readonly passed: boolean }
  /** 8 hexadecimal digits. */
  readonly random: string
}): string {
  const { at, place, result, random } = proof
  const time = new Date(at).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const what =
    'passed' in result
      ? `keys-${result.passed ? 'ok' : 'bad'}`
      : `l${result.requested}-p${result.proven === null ? 'n' : result.proven}`
  return `${time}-${place}-${what}-${random}`
}

/** Undefined for anything that is no proof's name. */
export function parseProofName(id: string): ProofName | undefined {
  const match = pattern.exec(id)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, place = '', requested, proven, keys] = match
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
  const common = { at: at as EpochMs, place, id }
  if (keys !== undefined) return { ...common, kind: 'keys', passed: keys === 'ok' }
  return { ...common, kind: 'verification', requested: levelOf(requested) ?? 0, proven: levelOf(proven) }
}

function levelOf(text: string | undefined): VerificationLevel | null {
  return verificationLevels.find((level) => String(level) === text) ?? null
}

/** When each level was last proven at a place, by level; a level proves those below it. */
export function lastProven(
  names: readonly ProofName[],
  place: string,
): Readonly<Record<VerificationLevel, ProofName | null>> {
  const verifications = names
    .filter((name) => name.place === place && name.kind === 'verification')
    .toSorted((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
  const newest = (level: VerificationLevel): ProofName | null =>
    verifications.find((name) => 'proven' in name && name.proven !== null && name.proven >= level) ?? null
  return { 0: newest(0), 1: newest(1), 2: newest(2), 3: newest(3), 4: newest(4) }
}

/**
 * Which proofs may go: those older than the limit, but of every place always the newest, the newest that failed nothing,
 * and the newest for each level.
 */
export function expiredProofs(names: readonly ProofName[], olderThan: EpochMs): readonly ProofName[] {
  const kept = new Set<string>()
  for (const place of new Set(names.map((name) => name.place))) {
    for (const proof of Object.values(lastProven(names, place))) if (proof !== null) kept.add(proof.id)
    for (const kind of ['verification', 'keys'] as const) {
      const ofKind = names.filter((name) => name.place === place && name.kind === kind)
      const newest = ofKind.toSorted((a, b) => b.at - a.at)[0]
      if (newest !== undefined) kept.add(newest.id)
    }
    const good = names.filter((name) => name.place === place && name.kind === 'keys' && name.passed)
    const newestGood = good.toSorted((a, b) => b.at - a.at)[0]
    if (newestGood !== undefined) kept.add(newestGood.id)
  }
  return names.filter((name) => name.at < olderThan && !kept.has(name.id))
}
