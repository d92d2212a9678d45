import { asText, defineCommand } from '../command.ts'
import type { CommandGroup } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

const service = {
  flag: '--service',
  about: 'start the process that serves the script for the next files; given by the script',
} as const

const status = defineCommand({
  name: 'status',
  summary: 'show what of the WAL is stored, what is lost, and how far the archive is behind',
  description:
    "Shows by timeline what WAL the repository holds, between which moments everything can be restored, and what is lost, with who was asked for it; how far the archive is behind the leader in bytes (by what lies in the repository) and in time (since the repository last had everything that the server had told), its throughput, its spool, and the server's slot. What could not be observed is shown as `?`.",
  options: {
    repository: { flag: '--repository <name>', about: 'the repository (default: the first)', parse: asText },
  },
  examples: [
    { command: 'holdfast wal status', about: 'the first repository' },
    { command: 'holdfast wal status --json | jq .lagBytes', about: 'for scripts' },
  ],
  exits: {
    ok: 'the archive is complete and follows the server',
    degraded: 'something is wrong or not known, or WAL is lost and no backup lies behind it yet',
    notFound: 'there is no such repository',
  },
  run: async (context, { repository }) => {
    const { runWalStatus } = await import('../wal/run-wal-status.ts')
    const { config } = await loadContextConfig(context)
    return await runWalStatus(config, context, repository)
  },
})

const command = defineCommand({
  name: 'command',
  summary: 'print archive_command and restore_command for PostgreSQL',
  description:
    'For a server that is not run by an agent, or for whoever prefers the commands of PostgreSQL to streaming: writes a shell script into the state directory and prints the settings that call it. The script hands each file to a serving process that it starts when there is none, so no Node.js starts for each segment. Run it again after Holdfast or the configuration has been moved.',
  options: {},
  examples: [{ command: 'holdfast wal command >> $PGDATA/postgresql.conf', about: 'archive with the next restart' }],
  exits: { ok: 'written and printed', notFound: 'no repository is configured' },
  run: async (context) => {
    const { runWalCommand } = await import('../wal/run-wal-command.ts')
    await runWalCommand(await loadContextConfig(context), context)
    return 'ok'
  },
})

const push = defineCommand({
  name: 'push',
  summary: 'store one WAL file in the repository',
  description:
    "Stores a segment, a partial segment, a timeline history or a backup label of a server's `pg_wal` in the first repository. It ends well only when the repository has the file durably, also when it had the same file before; another file under the same name is refused and both are named. `holdfast wal command` prints the faster way for `archive_command`.",
  arguments: [{ syntax: '<path>', about: 'the file, `%p` in archive_command; relative to the data directory' }],
  options: { service },
  examples: [{ command: 'holdfast wal push pg_wal/00000001000000A400000018', about: 'in the data directory' }],
  exits: {
    ok: 'the repository has it durably',
    failed: 'it could not be stored; PostgreSQL tries again',
    refused: 'the repository has another file of this name, or WAL of another cluster',
    unreachable: 'the repository does not answer',
    integrity: 'the file is not what its name says',
  },
  run: async (context, options, [path = '']) => {
    const { runWalPush } = await import('../wal/run-wal-push.ts')
    await runWalPush(await loadContextConfig(context), context, { ...options, path })
    return 'ok'
  },
})

const fetch = defineCommand({
  name: 'fetch',
  summary: 'fetch one WAL file from the repository',
  description:
    'Puts a segment or a timeline history of the first repository where a recovering server wants it, whole and synced or not at all. Its exit code is the contract of `restore_command`: 1 only when the repository provably does not have the file, which PostgreSQL takes for the end of the WAL; everything else stops recovery, so that no database is opened with data missing. With `standby.signal` in the data directory, where PostgreSQL asks again, trouble is 1 as well. `holdfast wal command` prints the faster way.',
  arguments: [
    { syntax: '<name>', about: 'the file, `%f` in restore_command' },
    { syntax: '<path>', about: 'where it goes, `%p`; relative to the data directory' },
  ],
  options: { service },
  examples: [{ command: 'holdfast wal fetch 00000002.history pg_wal/RECOVERYHISTORY', about: 'in the data directory' }],
  exits: {
    ok: 'the file is in its place',
    failed: 'the repository does not have it',
    stopsRecovery: 'it may have it, but something is in the way: recovery has to stop',
  },
  run: async (context, options, [name = '', path = '']) => {
    const { runWalFetch } = await import('../wal/run-wal-fetch.ts')
    return await runWalFetch(context, { ...options, name, path })
  },
})

const serve = defineCommand({
  name: 'serve',
  hidden: true,
  summary: 'serve the script of archive_command and restore_command',
  description: 'Serves what `holdfast wal command` has written until nobody has asked for a minute.',
  options: {},
  examples: [{ command: 'holdfast wal serve', about: 'started by `holdfast wal push --service`' }],
  exits: { ok: 'nobody asks any more, or another one serves' },
  run: async (context) => {
    const { runWalServe } = await import('../wal/run-wal-serve.ts')
    await runWalServe(await loadContextConfig(context), context)
    return 'ok'
  },
})

export const walCommands: CommandGroup = {
  name: 'wal',
  summary: 'the archive of write-ahead log',
  description: 'What the repository holds of the write-ahead log, and the commands for PostgreSQL.',
  commands: [status, command, push, fetch, serve],
}
