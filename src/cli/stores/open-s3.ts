import type { RepositoryConfig } from '../../config/schema.ts'
import { readCertificateFile, readSecretFile } from '../../config/secret-file.ts'
import { Fault } from '../../std/fault.ts'
import { Secret } from '../../std/secret.ts'
import { storeFaults } from '../../store/faults.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import { readCredentialsFile, type S3KeyText } from '../../store/s3/core/credentials-file.ts'
import type { S3StoreOptions } from '../../store/s3/s3-options.ts'
import type { StoreOpening } from '../open-configured.ts'

export type S3RepositoryConfig = Extract<RepositoryConfig, { readonly type: 's3' }>

/** Opens the bucket of a repository with the credentials it names, else with those of the AWS tools. */
export async function openConfiguredS3(config: S3RepositoryConfig, options: StoreOpening): Promise<ObjectStore> {
  const storeOptions = await s3StoreOptions(config, options)
  const { asOf } = config
  if (asOf !== undefined) {
    const { openS3PastStore } = await import('../../store/s3/s3-past-store.ts')
    return await openS3PastStore({ ...storeOptions, asOf: Date.parse(asOf) })
  }
  const { openS3Store } = await import('../../store/s3/s3-store.ts')
  return await openS3Store(storeOptions)
}

export async function s3StoreOptions(config: S3RepositoryConfig, options: StoreOpening): Promise<S3StoreOptions> {
  const { caFile } = config
  return {
    bucket: config.bucket,
    prefix: config.prefix,
    region: config.region,
    endpoint: config.endpoint,
    pathStyle: config.pathStyle,
    certificateAuthority: caFile === undefined ? undefined : await readCertificateFile(caFile),
    credentials: credentialsOf(config),
    lock: config.lock,
    conditionalCreate: config.conditionalCreate ?? (options.copy === true ? 'emulated' : 'required'),
    clock: options.clock,
    signal: options.signal,
  }
}

function credentialsOf(config: S3RepositoryConfig): (() => Promise<Secret<S3KeyText>>) | undefined {
  const { accessKeyIdFile, secretAccessKeyFile, credentialsFile, profile } = config
  if (credentialsFile !== undefined) {
    return async () => {
      const text = await readSecretFile('credentialsFile', credentialsFile)
      const keys = readCredentialsFile(text.reveal(), profile)
      if (keys !== undefined) return new Secret(keys)
      const message = `Cannot find credentials in ${credentialsFile}: it has no profile ${profile} with both keys`
      throw new Fault(storeFaults['store-credentials-absent'], message, { details: { file: credentialsFile, profile } })
    }
  }
  if (accessKeyIdFile === undefined || secretAccessKeyFile === undefined) return undefined
  return async () => {
    const accessKeyId = (await readSecretFile('accessKeyIdFile', accessKeyIdFile)).reveal()
    const secretAccessKey = (await readSecretFile('secretAccessKeyFile', secretAccessKeyFile)).reveal()
    return new Secret({ accessKeyId, secretAccessKey })
  }
}
