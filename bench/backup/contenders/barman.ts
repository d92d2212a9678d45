import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runProgram, runProgramToEnd } from '../../../src/std/run-program.ts'
import type { Command } from '../../measure/measure.ts'
import type { Contender } from '../contender.ts'
import type { SourceServer } from '../source-server.ts'

const deadlineMs = 600_000
const server = 'main'

/** Barman over streaming replication. It cannot encrypt, and compresses with what pg_basebackup gives it. */
export async function openBarman(options: {
  readonly program: string
  readonly directory: string
  readonly level: number
  readonly processes: number
  readonly source: SourceServer
}): Promise<Contender> {
  const { directory, level, processes, source, program } = options
  const configFile = await writeConfiguration(options)
  const run = (...words: readonly string[]): Command => ({
    program,
    arguments: ['--config', configFile, ...words],
    environment: source.environment,
  })
  const quietly = async ({ arguments: words, environment }: Command): Promise<void> =>
    void (await runProgram(program, words, { environment, deadlineMs }))
  await quietly(run('receive-wal', '--create-slot', server))
  return {
    name: 'barman',
    setting: 'equal',
    about: `zstd ${level} by the server, ${processes} workers, not encrypted`,
    archive: async () => {
      const { arguments: words, environment } = run('receive-wal', server)
      const receiver = spawn(program, words, { env: { ...environment }, stdio: 'ignore', detached: true })
      const ended = new Promise<void>((resolve) => receiver.once('close', () => resolve()))
      await untilReceiving(run('check', server), program)
      // It takes no backup before a first segment has come.
      await quietly(run('switch-wal', '--force', '--archive', server))
      return {
        [Symbol.asyncDispose]: async () => {
          if (receiver.pid !== undefined) process.kill(-receiver.pid, 'SIGTERM')
          await ended
        },
      }
    },
    full: run('backup', '--immediate-checkpoint', server),
    restore: (target) => run('recover', server, 'latest', target),
    backupDirectory: join(directory, 'home', server, 'base'),
  }
}

async function untilReceiving(check: Command, program: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { stdout } = await runProgramToEnd(program, check.arguments, { environment: check.environment, deadlineMs })
    if (/receive-wal running: OK/.test(stdout)) return
    await delay(100)
  }
  throw new Error('barman receive-wal did not start')
}

async function writeConfiguration({
  directory,
  level,
  processes,
  source,
}: Parameters<typeof openBarman>[0]): Promise<string> {
  const { server: postgres } = source
  for (const name of ['home', 'staging', 'none']) await mkdir(join(directory, name), { recursive: true, mode: 0o700 })
  const connection = `host=${postgres.socketDirectory} port=${postgres.port} user=${postgres.target.user}`
  const lines = [
    '[barman]',
    `barman_user = ${userInfo().username}`,
    `barman_home = ${join(directory, 'home')}`,
    `configuration_files_directory = ${join(directory, 'none')}`,
    `log_file = ${join(directory, 'barman.log')}`,
    `[${server}]`,
    'description = benchmark',
    `conninfo = ${connection} dbname=${postgres.target.database}`,
    `streaming_conninfo = ${connection}`,
    'backup_method = postgres',
    'streaming_archiver = on',
    'slot_name = barman',
    `path_prefix = ${postgres.installation.binDirectory}`,
    'backup_compression = zstd',
    'backup_compression_location = server',
    'backup_compression_format = tar',
    `backup_compression_level = ${level}`,
    `backup_compression_workers = ${processes}`,
    `recovery_staging_path = ${join(directory, 'staging')}`,
  ]
  const file = join(directory, 'barman.conf')
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 })
  return file
}
