/**
 * What kept a server from starting, told from its log in English. `orphans`: processes of a killed postmaster still hold
 * its shared memory; they end by themselves within a moment, so that trying again helps.
 */
export type StartFailure = 'port-in-use' | 'disk-full' | 'orphans' | 'other'

export function classifyStartFailure(log: string): StartFailure {
  if (/Address already in use/.test(log)) return 'port-in-use'
  if (/No space left on device|Disk quota exceeded/.test(log)) return 'disk-full'
  if (/pre-existing shared memory block/.test(log)) return 'orphans'
  return 'other'
}
