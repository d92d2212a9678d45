import { spawn } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { stringify } from 'yaml'
import type { ArchiverReport } from '../../../src/archive/archiver-process.ts'
import { parseLsn } from '../../../src/wal/core/lsn.ts'
import type { Command } from '../../measure/measure.ts'
import type { Contender } from '../contender.ts'
import type { Setting } from '../core/sample.ts'
import type { SourceServer } from '../source-server.ts'

const cluster = 'main'

export interface HoldfastOptions {
  /** Its `main.js`, compiled as it is shipped. */
  readonly program: string
  /** A directory of its own. */
  readonly directory: string
  readonly setting: Setting
  /** The zstd level; undefined: the program's own default. */
  readonly level: number | undefined
  readonly source: SourceServer
  readonly signal: AbortSignal
}

/** Holdfast through the commands that operators run; an archiver process brings the WAL, as the agent would start it. */
export async function openHoldfast(options: HoldfastOptions): Promise<Contender> {
  const { directory, setting, level } = options
  const configFile = await writeConfiguration(options)
  const run = (...words: readonly string[]): Command => ({
    program: process.execPath,
    arguments: [options.program, ...words, '--config', configFile],
    environment: { PATH: process.env['PATH'] ?? '', HOME: directory, TMPDIR: directory },
  })
  return {
    name: 'holdfast',
    setting,
    about: `${level === undefined ? 'its default level' : `zstd ${level}`}, AES-256-GCM`,
    archive: () => startArchiver(run('archiver'), options),
    full: run('backup', '--full', '--json'),
    incremental: run('backup', '--json'),
    restore: (target) => run('restore', '--to', target, '--immediate', '--json'),
    deltaRestore: (target) => run('restore', '--delta', '--yes', '--to', target, '--immediate', '--json'),
    // Others only lay the files out; starting the server and opening the database is left to the operator.
    beyondRestore: (stdout) => {
      const { recovered } = JSON.parse(stdout) as { readonly recovered: { readonly elapsedMs: number } }
      return recovered.elapsedMs / 1000
    },
    backupDirectory: join(directory, 'repository', cluster, 'packs'),
  }
}

async function writeConfiguration({ directory, source, level }: HoldfastOptions): Promise<string> {
  const { server } = source
  const path = (name: string): string => join(directory, name)
  await mkdir(path('state'), { recursive: true, mode: 0o700 })
  await mkdir(path('repository'), { mode: 0o700 })
  // Holdfast looks for the server's socket where its own agent would have put it.
  await symlink(server.socketDirectory, path('state/run'))
  const secrets = {
    passphrase: 'correct horse battery staple',
    superuser: server.target.password.reveal(),
    replication: server.replicationTarget.password.reveal(),
  }
  for (const [name, secret] of Object.entries(secrets)) await writeFile(path(name), `${secret}\n`, { mode: 0o600 })
  const config = {
    cluster,
    node: { name: 'n1', address: '127.0.0.1', dataDirectory: server.dataDirectory, stateDirectory: path('state') },
    postgres: {
      port: server.port,
      superuser: { name: server.target.user, passwordFile: path('superuser') },
      replication: { user: server.replicationTarget.user, passwordFile: path('replication') },
    },
    coordinator: { type: 'embedded', file: path('coordinator.db') },
    repositories: [
      {
        name: 'local',
        type: 'filesystem',
        path: path('repository'),
        passphraseFile: path('passphrase'),
        ...(level === undefined ? {} : { compressionLevel: level }),
      },
    ],
  }
  await writeFile(path('holdfast.yaml'), stringify(config), { mode: 0o600 })
  return path('holdfast.yaml')
}

/** Resolves when the repository has all WAL that there is; disposing stops it. */
async function startArchiver(command: Command, { source, signal }: HoldfastOptions): Promise<AsyncDisposable> {
  await using sql = await source.server.sql()
  const [row] = await sql.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
  const wanted = parseLsn(row?.lsn ?? '') ?? 0n
  const child = spawn(command.program, command.arguments, {
    env: { ...command.environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      child.once('error', reject)
      child.once('close', (code) => reject(new Error(`the archiver ended with ${code}`)))
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { state, durableLsn } = JSON.parse(line) as ArchiverReport
        if (state === 'streaming' && durableLsn !== null && (parseLsn(durableLsn) ?? 0n) >= wanted) resolve()
      })
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { [Symbol.asyncDispose]: stop }
}
