import { keysPrefix } from '../../repository/core/object-names.ts'
import { readStored } from '../../repository/stored-objects.ts'
import { Fault } from '../../std/fault.ts'
import type { KeyPlace, KeyPlaces } from './key-places.ts'

/** A copy that the change did not reach, with the reason. */
export interface MissedCopy {
  readonly name: string
  readonly fault: Fault
}

/**
 * Brings every key object of a repository to its copies, byte for byte as copies are. What cannot be reached is named; the
 * copier brings it later, or the command is run again.
 */
export async function mirrorKeys(places: KeyPlaces, signal: AbortSignal): Promise<readonly MissedCopy[]> {
  return await inEveryCopy(places, signal, async (copy) => {
    for await (const { key } of places.main.store.list(keysPrefix, { signal })) {
      if ((await copy.store.size(key, { signal })) !== undefined) continue
      await copy.store.create(key, await readStored(places.main.store, key, { signal }), { signal })
    }
  })
}

/** Does something in each copy; those that fail or did not answer before are what it gives. */
export async function inEveryCopy(
  { copies, silent }: KeyPlaces,
  signal: AbortSignal,
  work: (copy: KeyPlace) => Promise<void>,
): Promise<readonly MissedCopy[]> {
  const missed: MissedCopy[] = [...silent]
  for (const copy of copies) {
    try {
      await work(copy)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Fault)) throw error
      missed.push({ name: copy.name, fault: error })
    }
  }
  return missed
}

export function describeMissed(missed: readonly MissedCopy[]): readonly string[] {
  return missed.map(({ name, fault }) => `! not in repository ${name}: ${fault.message}`)
}
