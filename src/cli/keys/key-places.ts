import type { Config, RepositoryConfig } from '../../config/schema.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { identifyRepository } from '../../repository/repository.ts'
import type { RepositoryPlace } from '../../repository/repository.ts'
import { Fault, isFault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredStore } from '../open-configured.ts'

/** A configured repository whose keys are looked at or changed; it need not be open. */
export interface KeyPlace extends RepositoryPlace {
  readonly name: string
  readonly config: RepositoryConfig
}

export interface KeyPlaces extends AsyncDisposable {
  /** The one that is worked on. */
  readonly main: KeyPlace
  /** Copies of it: they have the same id, and get the same key objects. */
  readonly copies: readonly KeyPlace[]
  /** Configured repositories that did not answer, so that it is not known whether they are copies. */
  readonly silent: readonly { readonly name: string; readonly fault: Fault }[]
}

/** The repository that a command names, alone; or, where it names none, the first with all its copies. */
export async function openKeyPlaces(
  config: Config,
  named: string | undefined,
  context: Pick<CommandContext, 'clock' | 'signal'>,
): Promise<KeyPlaces> {
  await using stack = new AsyncDisposableStack()
  const chosen = chooseRepository(config, named)
  const open = async (repository: RepositoryConfig): Promise<KeyPlace> => {
    const store = stack.use(await openConfiguredStore(repository, { ...context, copy: repository !== chosen }))
    const { id } = await identifyRepository(store, { signal: context.signal })
    return { id, store, name: repository.name, config: repository }
  }
  const main = await open(chosen)
  const copies: KeyPlace[] = []
  const silent: { name: string; fault: Fault }[] = []
  for (const other of named === undefined ? config.repositories.filter(({ name }) => name !== main.name) : []) {
    try {
      const place = await open(other)
      if (place.id === main.id) copies.push(place)
    } catch (error) {
      context.signal.throwIfAborted()
      if (!(error instanceof Fault)) throw error
      // An empty place is no copy yet; whoever makes one of it brings the keys along.
      if (!isFault(error, repositoryFaults['repository-not-found'])) {
        silent.push({ name: other.name, fault: error })
      }
    }
  }
  const owned = stack.move()
  return { main, copies, silent, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
