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

/** `copy`: only objects that exist elsewhere are written into it, so a store that overwrites does no harm. */
export async function openConfiguredStore(
  repository: RepositoryConfig,
  options: { readonly clock: Clock; readonly copy?: boolean | undefined },
): Promise<ObjectStore> {
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

/** The repository a command works on: the one named, else the first. Throws `cli-no-repository`. */
export function chooseRepository(config: Config, name: string | undefined): RepositoryConfig {
  const chosen = config.repositories.find((repository) => name === undefined || repository.name === name)
  if (chosen !== undefined) return chosen
  const known = config.repositories.map((repository) => repository.name)
  const have = known.length === 0 ? 'the configuration has none' : `the configuration has ${known.join(', ')}`
  const message = `Cannot find ${name === undefined ? 'a repository' : `a repository named ${name}`}: ${have}`
  throw new Fault(cliFaults['cli-no-repository'], message, { details: { known } })
}
