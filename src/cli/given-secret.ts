import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { readSecretFile } from '../config/secret-file.ts'
import { Fault } from '../std/fault.ts'
import { Secret } from '../std/secret.ts'
import type { CommandContext } from './command.ts'
import { cliFaults } from './faults.ts'

/**
 * The secret that an option names by a file, `-` for standard input, or `credential:NAME` for a file in the directory that
 * systemd makes for a service; a secret itself never stands on a command line (law L10). Throws `config-secret-unusable`, or
 * `cli-usage` where there is nothing to read from.
 */
export async function readGivenSecret(
  { environment, workingDirectory }: Pick<CommandContext, 'environment' | 'workingDirectory'>,
  option: string,
  given: string,
): Promise<Secret> {
  if (given === '-') return await readStandardInput(option)
  const credential = /^credential:(.*)$/s.exec(given)?.[1]
  if (credential === undefined) return await readSecretFile(option, absolute(given, workingDirectory))
  const directory = environment['CREDENTIALS_DIRECTORY']
  if (directory === undefined || directory === '') {
    throw usage(option, 'there is no $CREDENTIALS_DIRECTORY; systemd sets it for services with LoadCredential=')
  }
  if (!/^[A-Za-z0-9._-]+$/.test(credential) || /^\.+$/.test(credential)) {
    throw usage(option, `${JSON.stringify(credential)} is no name of a credential`)
  }
  return await readSecretFile(option, join(directory, credential))
}

async function readStandardInput(option: string): Promise<Secret> {
  if (process.stdin.isTTY)
    throw usage(option, 'standard input is a terminal, which would show it; use a pipe or a file')
  const secret = (await readAll(process.stdin)).replace(/\r?\n$/, '')
  if (secret === '') throw usage(option, 'standard input was empty')
  return new Secret(secret)
}

function absolute(path: string, workingDirectory: string): string {
  return path.startsWith('/') ? path : join(workingDirectory, path)
}

function usage(option: string, reason: string): Fault {
  return new Fault(cliFaults['cli-usage'], `Cannot read the secret of ${option}: ${reason}`)
}
