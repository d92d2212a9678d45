import { access, constants, mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { diskFault } from '../std/durable-file.ts'
import { Fault, isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { runProgram } from '../std/run-program.ts'
import type { Secret } from '../std/secret.ts'
import { isOneLine } from './core/quoting.ts'
import { postgresFaults } from './faults.ts'
import { handedFilePath, openNamelessFile } from './nameless-file.ts'
import { programEnvironment } from './program-environment.ts'
import type { Installation } from './installation.ts'

export interface InitializeOptions {
  readonly superuser: string
  readonly password: Secret
  /** Bytes of a WAL segment, a power of two from 1 MiB to 1 GiB. */
  readonly walSegmentBytes?: number | undefined
  /** Whether the new files are synced to disk before this resolves; only tests say no. */
  readonly durable?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes a new data directory: checksums on, UTF-8 with the C.UTF-8 collation (its order never changes with the system's
 * libraries, so that a standby on another machine sorts as its primary does), SCRAM passwords for everybody. When it
 * fails nothing is left of it; when the machine dies in the middle, what is left has no `holdfast.conf` yet.
 */
export async function initializeDataDirectory(
  installation: Installation,
  dataDirectory: string,
  options: InitializeOptions,
): Promise<void> {
  await requireEmptyDirectory(dataDirectory)
  const password = options.password.reveal()
  if (password === '' || !isOneLine(password)) {
    throw new Fault(
      postgresFaults['postgres-setting-refused'],
      `Cannot initialize ${dataDirectory}: the superuser's password is empty or has a control character`,
      { hint: 'Put a password of one line into the password file.' },
    )
  }
  await using passwordFile = await openNamelessFile(`${password}\n`)
  try {
    await runInitdb(installation, dataDirectory, passwordFile.fd, options)
  } catch (error) {
    // initdb removes what it made when it fails by itself, and touches nothing that was there before.
    if (options.signal?.aborted === true || isFault(error, stdFaults['deadline-passed'])) await empty(dataDirectory)
    throw initializeFault(error, dataDirectory)
  }
}

async function runInitdb(
  installation: Installation,
  dataDirectory: string,
  passwordFile: number,
  options: InitializeOptions,
): Promise<void> {
  const locale =
    installation.major >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : ['--locale=C', '--lc-ctype=C.UTF-8']
  const programArguments = [
    `--pgdata=${dataDirectory}`,
    `--username=${options.superuser}`,
    `--pwfile=${handedFilePath}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--data-checksums',
    ...(options.walSegmentBytes === undefined ? [] : [`--wal-segsize=${options.walSegmentBytes / 2 ** 20}`]),
    ...(options.durable === false ? ['--no-sync'] : []),
  ]
  const run = (extra: readonly string[]): Promise<unknown> =>
    runProgram(installation.tools.initdb, [...programArguments, ...extra], {
      environment: programEnvironment(installation),
      workingDirectory: dirname(dataDirectory),
      deadlineMs: 300_000,
      fileDescriptor: passwordFile,
      signal: options.signal,
    })
  try {
    await run(locale)
  } catch (error) {
    // Old systems have no C.UTF-8; there the classes of characters beyond ASCII are lost, the order is the same.
    if (!(isFault(error) && error.message.includes('invalid locale name'))) throw error
    await run(['--locale=C'])
  }
}

async function requireEmptyDirectory(directory: string): Promise<void> {
  const refuse = (reason: string, cause?: unknown): Fault =>
    new Fault(
      postgresFaults['postgres-directory-unusable'],
      `Cannot make a data directory of ${directory}: ${reason}`,
      {
        details: { directory },
        cause,
      },
    )
  const entries = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw refuse(error.code === 'ENOTDIR' ? 'it is not a directory' : `it cannot be read (${error.code})`, error)
  })
  if (entries === undefined) {
    await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      throw refuse(`it cannot be created (${error.code})`, error)
    })
    return
  }
  if (entries.length > 0) throw refuse('it is not empty')
  await access(directory, constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw refuse('it cannot be written', error)
  })
}

async function empty(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true, force: true })
}

function initializeFault(error: unknown, dataDirectory: string): unknown {
  if (isFault(error) && error.message.includes('No space left on device')) {
    return diskFault(Object.assign(new Error(error.message), { code: 'ENOSPC' }), dataDirectory)
  }
  return error
}
