import { readFile, stat } from 'node:fs/promises'
import { Fault } from '../std/fault.ts'
import { Secret } from '../std/secret.ts'
import { configFaults } from './faults.ts'

const readableByOthers = 0o007
const writableByGroup = 0o020
const largestSecretBytes = 1024 * 1024

/**
 * A secret from its file, without the line break an editor leaves at the end. Throws `config-secret-unusable` when the
 * file is missing, empty, or open to others. `key` is the configuration key that names the file, for the message.
 */
export async function readSecretFile(key: string, file: string): Promise<Secret> {
  const fail = (reason: string, cause?: unknown): Fault =>
    new Fault(configFaults['config-secret-unusable'], `Cannot use the secret file ${file} (${key}): ${reason}`, {
      cause,
      details: { key, file },
    })
  try {
    const { mode, size } = await stat(file)
    if ((mode & (readableByOthers | writableByGroup)) !== 0) {
      throw fail(`its mode is ${(mode & 0o777).toString(8)}, so other users can read or change it`)
    }
    if (size > largestSecretBytes) throw fail('it is larger than 1 MB, so it is no secret of ours')
    const text = (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
    if (text === '') throw fail('it is empty')
    return new Secret(text)
  } catch (error) {
    if (error instanceof Fault) throw error
    const code = (error as NodeJS.ErrnoException).code
    throw fail(code === 'ENOENT' ? 'it does not exist' : `it cannot be read (${code ?? String(error)})`, error)
  }
}

/** Certificates (PEM) from their file. Throws `config-key-file-unusable`. */
export async function readCertificateFile(file: string): Promise<string> {
  const text = await readPublicFile(`the certificates ${file}`, file)
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text
  const message = `Cannot read the certificates ${file}: it holds none in PEM form`
  throw new Fault(configFaults['config-key-file-unusable'], message, {
    hint: 'Name a file that begins with -----BEGIN CERTIFICATE-----.',
    details: { file },
  })
}

/** An armored public key from its file. Throws `config-key-file-unusable`. */
export async function readPublicKeyFile(file: string): Promise<string> {
  return await readPublicFile(`the public key ${file}`, file)
}

async function readPublicFile(what: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    const message = `Cannot read ${what}: ${reason}`
    throw new Fault(configFaults['config-key-file-unusable'], message, { cause: error, details: { file } })
  }
}
