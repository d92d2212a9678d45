import type { RepositoryConfig } from '../../config/schema.ts'
import { readCertificateFile, readSecretFile } from '../../config/secret-file.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import type { WebDavStoreOptions } from '../../store/webdav/webdav-options.ts'
import type { StoreOpening } from '../open-configured.ts'

export type WebDavRepositoryConfig = Extract<RepositoryConfig, { readonly type: 'webdav' }>

/** Opens the folder of a repository with the user and password it names. */
export async function openConfiguredWebDav(
  config: WebDavRepositoryConfig,
  options: StoreOpening,
): Promise<ObjectStore> {
  const { openWebDavStore } = await import('../../store/webdav/webdav-store.ts')
  return await openWebDavStore(await webDavStoreOptions(config, options))
}

export async function webDavStoreOptions(
  config: WebDavRepositoryConfig,
  options: StoreOpening,
): Promise<WebDavStoreOptions> {
  const { caFile, passwordFile } = config
  return {
    url: config.url,
    user: config.user,
    password: passwordFile === undefined ? undefined : () => readSecretFile('passwordFile', passwordFile),
    certificateAuthority: caFile === undefined ? undefined : await readCertificateFile(caFile),
    conditionalCreate: config.conditionalCreate ?? (options.copy === true ? 'emulated' : 'required'),
    clock: options.clock,
    signal: options.signal,
  }
}
