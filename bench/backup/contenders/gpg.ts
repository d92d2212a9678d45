import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const home = (directory: string): string => join(directory, 'gnupg')
const options = (directory: string): string =>
  `gpg --homedir ${home(directory)} --quiet --batch --pinentry-mode loopback --passphrase-file ${join(directory, 'passphrase')}`

/** Shell words that encrypt with a passphrase, AES-256, and do not compress what is compressed already. */
export async function encryptWithGpg(directory: string): Promise<string> {
  await mkdir(home(directory), { mode: 0o700 })
  await writeFile(join(directory, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
  return `${options(directory)} --symmetric --cipher-algo AES256 --compress-algo none`
}

export function decryptWithGpg(directory: string, file: string): string {
  return `${options(directory)} --decrypt ${file}`
}

/** Shell words that end the agent that gpg starts; one that is left, ends when its directory is removed. */
export function endAgent(directory: string): string {
  return `gpgconf --homedir ${home(directory)} --kill gpg-agent`
}

/** Shell words that make every file below a directory durable. */
export function syncFiles(directory: string): string {
  return `find ${directory} -print0 | xargs -0 sync`
}
