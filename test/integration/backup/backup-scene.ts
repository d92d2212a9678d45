import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { startServer } from '../../../src/postgres/server.ts'
import { openSql, type Sql } from '../../../src/postgres/sql.ts'
import { createRepository, type Repository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { createTestServer, type TestServer, type TestServerOptions } from '../../support/postgres.ts'
import { startWalFeeder } from './wal-feeder.ts'

export const cluster = 'main'
export const passphrase = new Secret('correct horse battery staple')

export interface BackupScene extends AsyncDisposable {
  readonly server: TestServer
  readonly repository: Repository
  readonly repositoryRoot: string
  /** What `takeBackup` is to back up. */
  readonly request: { repository: Repository; cluster: string; target: TestServer['target']; dataDirectory: string }
}

/** A running server, an empty repository beside it, and WAL that flows from one into the other unless told not to. */
export async function openBackupScene(
  options: TestServerOptions & {
    readonly feedWal?: boolean
    readonly decorate?: (store: ObjectStore) => ObjectStore
  } = {},
): Promise<BackupScene> {
  await using stack = new AsyncDisposableStack()
  const parameters = { max_wal_size: '128MB', ...options.parameters }
  const server = stack.use(await createTestServer({ ...options, parameters }))
  const repositoryRoot = join(server.directory, 'repository')
  const plain = await openFileSystemStore({ root: repositoryRoot, createRoot: true, clock: systemClock })
  const created = await createRepository(plain, { passphrase, clock: systemClock })
  const repository = { ...created, store: options.decorate?.(plain) ?? plain }
  if (options.feedWal !== false) stack.use(await startWalFeeder(server, created, cluster))
  const owned = stack.move()
  return {
    server,
    repository,
    repositoryRoot,
    request: { repository, cluster, target: server.target, dataDirectory: server.dataDirectory },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Starts what `layOutBackup` made below `root` and recovers it to the end of its WAL. */
export async function recoverCopy(
  { server }: BackupScene,
  root: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<AsyncDisposable & { readonly sql: Sql; stop(): Promise<void> }> {
  const running = await startServer(server.installation, join(root, 'data'), {
    logFile: join(root, 'postgres.log'),
    parameters: {
      fsync: 'off',
      listen_addresses: '',
      unix_socket_directories: root,
      restore_command: `cp ${root}/wal/%f %p`,
      ...parameters,
    },
    until: 'connections',
  })
  const sql = await openSql({ ...server.target, host: root })
  // Connections are accepted as soon as the copy is consistent; recovery itself goes on to the end.
  for (;;) {
    const [row] = await sql.query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering')
    if (row?.recovering === false) break
    await sql.query('SELECT pg_sleep(0.05)')
  }
  const stop = async (): Promise<void> => {
    await sql.close()
    await running.stop('fast')
  }
  return { sql, stop, [Symbol.asyncDispose]: stop }
}

/** Runs a PostgreSQL tool of this server's installation to its end; gives exit code and output. */
export async function runTool(
  program: string,
  options: { readonly arguments: readonly string[]; readonly environment: Readonly<Record<string, string>> },
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const child = spawn(program, options.arguments, {
    env: { ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { exitCode, output }
}
