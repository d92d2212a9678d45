import { spawn } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Sql } from '../../../src/postgres/sql.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { runHoldfast } from '../../support/cli-cluster.ts'
import type { CliOutcome } from '../../support/cli-cluster.ts'
import { createTestServer } from '../../support/postgres.ts'
import type { TestServer, TestServerOptions } from '../../support/postgres.ts'

export const cluster = 'main'

/** A server that no agent runs, and a configuration for the commands that archive its WAL. */
export interface CommandScene extends AsyncDisposable {
  readonly server: TestServer
  readonly configFile: string
  readonly walDirectory: string
  readonly repositoryPath: string
  /** Opened as the commands have made it. */
  repository(): Promise<Repository>
  holdfast(directory: string, ...args: readonly string[]): Promise<CliOutcome>
  /** What `holdfast wal command` prints, for people and for programs. */
  walCommand(): Promise<{ readonly script: string; readonly archive_command: string; readonly restore_command: string }>
}

export async function openCommandScene(options: TestServerOptions = {}): Promise<CommandScene> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await createTestServer(options))
  const { directory } = server
  const state = join(directory, 'state of it')
  const repositoryPath = join(directory, 'repository')
  await mkdir(repositoryPath, { mode: 0o700 })
  await mkdir(state, { mode: 0o700 })
  const secret = async (name: string): Promise<string> => {
    const file = join(directory, name)
    await writeFile(file, `${name} secret\n`)
    await chmod(file, 0o600)
    return file
  }
  const configFile = join(directory, 'holdfast.yaml')
  const config = {
    cluster,
    node: { name: 'n1', address: '127.0.0.1', dataDirectory: server.dataDirectory, stateDirectory: state },
    postgres: {
      port: server.port,
      superuser: { passwordFile: await secret('superuser') },
      replication: { passwordFile: await secret('replication') },
    },
    coordinator: { type: 'embedded', file: join(directory, 'coordinator.db') },
    repositories: [
      { name: 'local', type: 'filesystem', path: repositoryPath, passphraseFile: await secret('passphrase') },
    ],
  }
  await writeFile(configFile, stringify(config))
  const walDirectory = join(state, 'wal')
  const holdfast: CommandScene['holdfast'] = (from, ...args) => runHoldfast([...args, '--config', configFile], from)
  const owned = stack.move()
  return {
    server,
    configFile,
    walDirectory,
    repositoryPath,
    repository: async () =>
      openRepository(await openFileSystemStore({ root: repositoryPath, clock: systemClock }), {
        passphrase: new Secret('passphrase secret'),
      }),
    holdfast,
    walCommand: async () => {
      const { stdout, stderr } = await holdfast(directory, 'wal', 'command', '--json')
      if (stdout === '') throw new Error(stderr)
      return JSON.parse(stdout) as Awaited<ReturnType<CommandScene['walCommand']>>
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The path of the segment that was just finished. */
export async function finishSegment(sql: Sql): Promise<string> {
  const [row] = await sql.query<{ name: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS name')
  return row?.name ?? ''
}

export interface ShellOutcome {
  readonly code: number | null
  readonly stderr: string
}

/** Runs a command as PostgreSQL does: by the shell, in the data directory. */
export function runAsPostgres(command: string, dataDirectory: string): Promise<ShellOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], { cwd: dataDirectory, stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('exit', (code) => resolve({ code, stderr }))
  })
}
