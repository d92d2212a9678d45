import type { EpochMs } from '../../std/clock.ts'

/**
 * How long after its moment a run is begun: between nothing and `jitterMs`, the same on every node and after every
 * restart, different from cluster to cluster and from moment to moment.
 */
export function jitterOf(
  moment: EpochMs,
  { jitterMs, seed }: { readonly jitterMs: number; readonly seed: string },
): number {
  if (jitterMs <= 0) return 0
  // FNV-1a, finished with two rounds that spread the last characters over all bits.
  let hash = 0x811c9dc5
  for (const character of `${seed} ${moment}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % (jitterMs + 1)
}
