import type { RepositoryConfig } from '../../config/schema.ts'

/** The files with secrets that a repository names, by the key that names them. */
export function repositorySecrets(repository: RepositoryConfig): Readonly<Record<string, string>> {
  const named = Object.entries(repository).filter(
    (entry): entry is [string, string] => secretKeys.has(entry[0]) && typeof entry[1] === 'string',
  )
  return Object.fromEntries(named)
}

const secretKeys = new Set([
  'passphraseFile',
  'privateKeyFile',
  'accessKeyIdFile',
  'secretAccessKeyFile',
  'credentialsFile',
  'passwordFile',
])
