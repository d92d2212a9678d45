import type { Config } from '../../config/schema.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { takeAccess } from '../../repository/take-access.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { repositoryAccess } from '../open-configured.ts'
import { openKeyPlaces } from './key-places.ts'
import type { KeyPlace, KeyPlaces } from './key-places.ts'
import { describeMissed, inEveryCopy, mirrorKeys } from './mirror-keys.ts'
import type { MissedCopy } from './mirror-keys.ts'

/** Removes a passphrase or recipients from a repository and its copies. */
export async function runKeysRemove(
  config: Config,
  context: CommandContext,
  options: { readonly name: string; readonly repository: string | undefined },
): Promise<'ok' | 'degraded'> {
  const { output } = context
  await using places = await openKeyPlaces(config, options.repository, context)
  const { removed, missed } = await removeWay(places, options.name, context)
  if (removed.length === 0 && missed.length === 0) {
    throw new Fault(
      repositoryFaults['repository-key-not-found'],
      `Cannot remove ${options.name}: repository ${places.main.name} has no passphrase or recipient of this name`,
      { details: { name: options.name } },
    )
  }
  const { name } = options
  if (context.json) {
    output.printJson({ repository: places.main.name, name, removed, missed: missed.map((copy) => copy.name) })
  } else {
    output.print(
      [`${name} no longer opens repository ${places.main.name}.`, honestLine, ...describeMissed(missed)].join('\n'),
    )
  }
  return missed.length === 0 ? 'ok' : 'degraded'
}

/** What a removal cannot do. */
export const honestLine =
  'Whoever has that key and a copy of the removed objects can still read what was stored until now; `holdfast keys rotate --data-key` changes that for what comes. Dumps in the repository stay encrypted for whom they were made.'

/**
 * In the repository first. Where an earlier removal came so far, the copies are done all the same: each is looked at by
 * itself, so that nowhere the last way that the configuration has is removed.
 */
export async function removeWay(
  places: KeyPlaces,
  way: string,
  { signal }: Pick<CommandContext, 'signal'>,
): Promise<{ readonly removed: readonly string[]; readonly missed: readonly MissedCopy[] }> {
  const removed = new Set<string>()
  const removeAt = async (place: KeyPlace): Promise<void> => {
    const access = await repositoryAccess(place === places.main ? place.config : accessConfig(places, place))
    for (const object of await takeAccess(place, { way, access }, { signal })) removed.add(object)
  }
  await removeAt(places.main)
  // What stays must be in a copy before something is taken from it.
  const behind = await mirrorKeys(places, signal)
  const reachable = {
    ...places,
    copies: places.copies.filter(({ name }) => behind.every((copy) => copy.name !== name)),
  }
  const failed = await inEveryCopy({ ...reachable, silent: [] }, signal, removeAt)
  return { removed: [...removed], missed: [...behind, ...failed] }
}

/** A copy is opened with the secrets of what it copies where it names none. */
function accessConfig({ main }: KeyPlaces, place: KeyPlace): KeyPlace['config'] {
  const own = place.config.passphraseFile !== undefined || place.config.privateKeyFile !== undefined
  return own ? place.config : main.config
}
