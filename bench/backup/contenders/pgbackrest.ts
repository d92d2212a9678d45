import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from '../../../src/std/run-program.ts'
import type { Command } from '../../measure/measure.ts'
import type { Contender } from '../contender.ts'
import type { Setting } from '../core/sample.ts'
import type { SourceServer } from '../source-server.ts'
import { isAtLeast } from './version.ts'

export interface PgBackRestOptions {
  readonly program: string
  readonly version: string
  readonly directory: string
  readonly setting: Setting
  /** The zstd level; undefined: what pgBackRest does when nothing is said, which is gzip. */
  readonly level: number | undefined
  readonly processes: number
  readonly source: SourceServer
}

const stanza = 'main'
const deadlineMs = 600_000
/** Only the end of the backup itself is recovered to. */
const toItsEnd = ['--type=immediate', '--target-action=promote']

/** pgBackRest with its encryption, and bundles and block-incremental backup where the level is chosen for it. */
export async function openPgBackRest(options: PgBackRestOptions): Promise<Contender> {
  const { directory, setting, level, source, program, processes } = options
  const configFile = await writeConfiguration(options)
  const run = (...words: readonly string[]): Command => ({
    program,
    arguments: [`--config=${configFile}`, `--stanza=${stanza}`, ...words],
    environment: source.environment,
  })
  const quietly = async ({ arguments: words, environment }: Command): Promise<void> =>
    void (await runProgram(program, words, { environment, deadlineMs }))
  await quietly(run('stanza-create'))
  return {
    name: 'pgbackrest',
    setting,
    about: `${level === undefined ? 'gzip 6, its default' : `zstd ${level}`}, AES-256-CBC, ${processes} processes`,
    archive: async () => {
      await source.archiveWith(`exec ${program} --config=${configFile} --stanza=${stanza} archive-push "$1"\n`)
      return { [Symbol.asyncDispose]: () => source.archiveWith(undefined) }
    },
    full: run('backup', '--type=full'),
    incremental: run('backup', '--type=incr'),
    restore: (target) => run('restore', `--pg1-path=${target}`, ...toItsEnd),
    deltaRestore: (target) => run('restore', '--delta', `--pg1-path=${target}`, ...toItsEnd),
    backupDirectory: join(directory, 'repository', 'backup', stanza),
  }
}

async function writeConfiguration({
  directory,
  level,
  processes,
  version,
  source,
}: PgBackRestOptions): Promise<string> {
  const { server } = source
  for (const name of ['repository', 'lock', 'spool'])
    await mkdir(join(directory, name), { recursive: true, mode: 0o700 })
  const tuned = [
    'compress-type=zst',
    `compress-level=${level}`,
    'repo1-bundle=y',
    ...(isAtLeast(version, '2.46') ? ['repo1-block=y'] : []),
  ]
  const lines = [
    '[global]',
    `repo1-path=${join(directory, 'repository')}`,
    'repo1-cipher-type=aes-256-cbc',
    'repo1-cipher-pass=correct horse battery staple',
    'repo1-retention-full=1000',
    `process-max=${processes}`,
    `lock-path=${join(directory, 'lock')}`,
    `spool-path=${join(directory, 'spool')}`,
    'log-level-file=off',
    'log-level-console=warn',
    'start-fast=y',
    ...(level === undefined ? [] : tuned),
    `[${stanza}]`,
    `pg1-path=${server.dataDirectory}`,
    `pg1-socket-path=${server.socketDirectory}`,
    `pg1-port=${server.port}`,
    `pg1-user=${server.target.user}`,
  ]
  const file = join(directory, 'pgbackrest.conf')
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 })
  return file
}
