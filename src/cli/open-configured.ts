import { stat } from 'node:fs/promises'
import type { Config, RepositoryConfig } from '../config/schema.ts'
import { readPublicKeyFile, readSecretFile } from '../config/secret-file.ts'
import type { Coordinator } from '../coordinator/coordinator.ts'
import type { KeyAccess } from '../repository/openpgp-keys.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import type { ObjectStore } from '../store/object-store.ts'
import { cliFaults } from './faults.ts'

/** Opens what the configuration names; adapters are imported only when they are used. Only an agent may create it. */
export async function openConfiguredCoordinator(
  config: Config,
  clock: Clock,
  options: { readonly create?: boolean } = {},
): Promise<Coordinator> {
  const { coordinator } = config
  switch (coordinator.type) {
    case 'embedded': {
      if (options.create !== true) await requireCoordinatorFile(config.cluster, coordinator.file)
      const { openEmbeddedCoordinator } = await import('../coordinator/embedded/embedded-coordinator.ts')
      return await openEmbeddedCoordinator({ file: coordinator.file, clock })
    }
    default:
      return coordinator.type satisfies never
  }
}

async function requireCoordinatorFile(cluster: string, file: string): Promise<void> {
  const present = await stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  )
  if (present) return
  const message = `Cannot look at cluster ${cluster}: its coordinator ${file} does not exist`
  throw new Fault(cliFaults['cli-coordinator-absent'], message, { details: { file } })
}

export interface StoreOpening {
  readonly clock: Clock
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined
  /** Only objects that exist elsewhere are written into it, so a store that overwrites does no harm. */
  readonly copy?: boolean | undefined
}

export async function openConfiguredStore(repository: RepositoryConfig, options: StoreOpening): Promise<ObjectStore> {
  switch (repository.type) {
    case 'filesystem': {
      const { openFileSystemStore } = await import('../store/file-system-store.ts')
      return await openFileSystemStore({ root: repository.path, clock: options.clock })
    }
    case 's3': {
      const { openConfiguredS3 } = await import('./stores/open-s3.ts')
      return await openConfiguredS3(repository, options)
    }
    case 'webdav': {
      const { openConfiguredWebDav } = await import('./stores/open-webdav.ts')
      return await openConfiguredWebDav(repository, options)
    }
    default:
      return repository satisfies never
  }
}

/** A repository and the store it is in; disposing closes the store. */
export interface OpenedRepository extends AsyncDisposable {
  readonly name: string
  readonly repository: Repository
}

/** Opens a configured repository with the secrets it names. */
export async function openConfiguredRepository(
  config: RepositoryConfig,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<OpenedRepository> {
  const { openRepository } = await import('../repository/repository.ts')
  const access = await repositoryAccess(config)
  const store = await openConfiguredStore(config, options)
  try {
    const { compressionLevel } = config
    const repository = await openRepository(store, { ...access, compressionLevel, signal: options.signal })
    return { name: config.name, repository, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
  } catch (error) {
    await store[Symbol.asyncDispose]()
    throw error
  }
}

/** Opens a configured repository, making it first when its place is empty. */
export async function openOrCreateRepository(
  config: RepositoryConfig,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<OpenedRepository> {
  const { createRepository } = await import('../repository/repository.ts')
  const { repositoryFaults } = await import('../repository/faults.ts')
  try {
    return await openConfiguredRepository(config, options)
  } catch (error) {
    if (!isFault(error, repositoryFaults['repository-not-found'])) throw error
  }
  await using store = await openConfiguredStore(config, options)
  const { passphrase } = await repositoryAccess(config)
  const recipients = await Promise.all(config.recipientFiles.map(readPublicKeyFile))
  await createRepository(store, { passphrase, recipients, ...options }).catch((error: unknown) => {
    // Another node of the cluster was faster; its repository is as good.
    if (!isFault(error, repositoryFaults['repository-exists'])) throw error
  })
  return await openConfiguredRepository(config, options)
}

/** The secrets that a repository's entry names, from their files. */
export async function repositoryAccess(config: RepositoryConfig): Promise<KeyAccess> {
  const { passphraseFile, privateKeyFile } = config
  return {
    passphrase: passphraseFile === undefined ? undefined : await readSecretFile('passphraseFile', passphraseFile),
    privateKey:
      privateKeyFile === undefined ? undefined : { armored: await readSecretFile('privateKeyFile', privateKeyFile) },
  }
}

const copyPatienceMs = 10_000

/**
 * Opens the repository a command reads: the one named, else the first. Where the first cannot be read and a copy of it
 * can, the fault says which.
 */
export async function openForReading(
  config: Config,
  name: string | undefined,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<OpenedRepository> {
  const chosen = chooseRepository(config, name)
  try {
    return await openConfiguredRepository(chosen, options)
  } catch (error) {
    const [first, ...copies] = config.repositories
    if (chosen !== first || !(error instanceof Fault) || options.signal?.aborted === true) throw error
    const readable = await firstReadable(copies, options)
    if (readable === undefined) throw error
    const { kind, message, details, cause } = error
    const hint = `Its copy ${readable} can be read: \`--repository ${readable}\`. ${error.hint}`
    throw new Fault(kind, message, { hint, details: { ...details, copy: readable }, cause })
  }
}

async function firstReadable(
  copies: readonly RepositoryConfig[],
  { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<string | undefined> {
  for (const copy of copies) {
    const deadline = AbortSignal.any([AbortSignal.timeout(copyPatienceMs), ...(signal === undefined ? [] : [signal])])
    try {
      await using opened = await openConfiguredRepository(copy, { clock, signal: deadline })
      return opened.name
    } catch {
      // What was asked for is the first; that a copy fails as well is no help to name.
      signal?.throwIfAborted()
    }
  }
  return undefined
}

/** The first repository and a store for a copy of it, which needs no key. */
export async function openConfiguredRoute(
  config: Config,
  copy: RepositoryConfig,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<AsyncDisposable & { readonly first: Repository; readonly copy: ObjectStore }> {
  await using stack = new AsyncDisposableStack()
  const first = stack.use(await openConfiguredRepository(chooseRepository(config, undefined), options))
  const store = stack.use(await openConfiguredStore(copy, { ...options, copy: true }))
  const opened = stack.move()
  return { first: first.repository, copy: store, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

/** Every repository but the first, or the one named. Throws `cli-no-repository` and `cli-repository-is-first`. */
export function chooseCopies(config: Config, name: string | undefined): readonly RepositoryConfig[] {
  const [first, ...copies] = config.repositories
  if (name === undefined && copies.length > 0) return copies
  const chosen = name === undefined ? undefined : chooseRepository(config, name)
  if (chosen !== undefined && chosen !== first) return [chosen]
  if (chosen === undefined) {
    const message = 'Cannot copy: the configuration has no repository besides the first'
    throw new Fault(cliFaults['cli-no-repository'], message, { details: { known: copies.map((copy) => copy.name) } })
  }
  const message = `Cannot copy to repository ${chosen.name}: it is the first, from which the others are copied`
  throw new Fault(cliFaults['cli-repository-is-first'], message, { details: { repository: chosen.name } })
}

/** The repository that backups and dumps go to: only the first is written to. Throws `cli-repository-is-copy`. */
export function chooseWritten(config: Config, name: string | undefined): RepositoryConfig {
  const chosen = chooseRepository(config, name)
  const [first] = config.repositories
  if (chosen === first) return chosen
  const message = `Cannot write to repository ${chosen.name}: it is a copy of ${first?.name}, and gets everything from there`
  throw new Fault(cliFaults['cli-repository-is-copy'], message, { details: { repository: chosen.name } })
}

/** The repository a command works on: the one named, else the first. Throws `cli-no-repository`. */
export function chooseRepository(config: Config, name: string | undefined): RepositoryConfig {
  const chosen = config.repositories.find((repository) => name === undefined || repository.name === name)
  if (chosen !== undefined) return chosen
  const known = config.repositories.map((repository) => repository.name)
  const have = known.length === 0 ? 'the configuration has none' : `the configuration has ${known.join(', ')}`
  const message = `Cannot find ${name === undefined ? 'a repository' : `a repository named ${name}`}: ${have}`
  throw new Fault(cliFaults['cli-no-repository'], message, { details: { known } })
}
