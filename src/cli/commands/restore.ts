import { Fault } from '../../std/fault.ts'
import { cliFaults } from '../faults.ts'
import { UsageError, asText, defineCommand } from '../command.ts'
import { parseTableName } from '../restore/rescue-names.ts'
import type { RescueSubject } from '../restore/rescue-names.ts'
import { storeOptions } from '../stores/store-options.ts'

function parseWorkers(text: string): number {
  const workers = Number(text)
  if (!Number.isInteger(workers) || workers < 1 || workers > 64) throw new UsageError('a whole number from 1 to 64')
  return workers
}

function parseAction(text: string): 'promote' | 'shutdown' {
  if (text === 'promote' || text === 'shutdown') return text
  throw new UsageError('promote or shutdown')
}

/** `16400=/srv/fast` or `/mnt/fast=/srv/fast`, as often as there are tablespaces. */
function parseTablespace(text: string, previous: unknown): ReadonlyMap<string, string> {
  const match = /^(\d+|\/[^=]*)=(\/.*)$/.exec(text)
  if (match === null) throw new UsageError('OID=DIRECTORY or OLD=NEW with absolute directories')
  const before = previous instanceof Map ? (previous as ReadonlyMap<string, string>) : []
  return new Map([...before, [match[1] as string, match[2] as string]])
}

function parseTable(text: string): Extract<RescueSubject, { kind: 'table' }> {
  const subject = parseTableName(text)
  if (subject === undefined) throw new UsageError('DATABASE.SCHEMA.TABLE')
  return subject
}

/** `shared_buffers=128MB`, as often as wanted. */
function parseParameter(text: string, previous: unknown): Readonly<Record<string, string>> {
  const match = /^([A-Za-z_][\w.]*)=(.*)$/s.exec(text)
  if (match === null) throw new UsageError('PARAMETER=VALUE')
  return { ...(previous as Readonly<Record<string, string>> | undefined), [match[1] as string]: match[2] as string }
}

/** Options of one way of restoring are no use in the other. */
function requireConsistent(options: {
  readonly database: string | undefined
  readonly table: unknown
  readonly as: string | undefined
  readonly output: string | undefined
  readonly to: string | undefined
  readonly delta: boolean
}): void {
  const isPart = options.database !== undefined || options.table !== undefined
  const wrong =
    options.database !== undefined && options.table !== undefined
      ? '--database and --table exclude each other'
      : isPart && (options.to !== undefined || options.delta)
        ? '--to and --delta are for restoring the whole cluster; --scratch says where the sandbox goes'
        : !isPart && (options.as !== undefined || options.output !== undefined)
          ? '--as and --output go with --database or --table'
          : options.as !== undefined && options.output !== undefined
            ? '--as and --output exclude each other'
            : undefined
  if (wrong !== undefined) throw new Fault(cliFaults['cli-usage'], `Cannot restore: ${wrong}`)
}

export const restoreCommand = defineCommand({
  name: 'restore',
  summary: 'restore the cluster, to any moment of the archive, into a directory',
  description:
    'Plans a restore from what the repository holds, shows the plan, then lays the backup out in an empty directory (or, with --delta, makes a stopped data directory of the same cluster into it), every byte verified, and replays the archived WAL up to the target on a server that reaches nobody. It fails closed: when anything that the plan needs is missing or altered, the database is not opened. The running cluster is not touched. The restored copy stays isolated (no archiving, no replication, no network) until a person makes it a server; an agent leaves it alone unless it was restored with --adopt. Without a target it goes to the end of the archive. A restore that was interrupted goes on when the same command is run again.',
  options: {
    to: { flag: '--to <directory>', about: 'an empty or absent directory for the data', parse: asText },
    plan: { flag: '--plan', about: 'show the plan and do nothing' },
    dryRun: { flag: '--dry-run', about: 'the same as --plan' },
    delta: {
      flag: '--delta',
      about: 'onto a data directory of the same cluster: only what differs is fetched and written',
    },
    adopt: {
      flag: '--adopt',
      about:
        'the restored directory becomes the cluster again: the agent of this node, which must be stopped, takes it over',
    },
    yes: { flag: '--yes', about: 'overwrite without asking' },
    backup: {
      flag: '--backup <id>',
      about: 'start from this backup (default: the newest before the target)',
      parse: asText,
    },
    targetTime: {
      flag: '--target-time <moment>',
      about: 'up to this moment, with its time zone: 2026-11-22 13:00:00.5+00',
      parse: asText,
    },
    targetLsn: { flag: '--target-lsn <lsn>', about: 'up to this position: 0/3000148', parse: asText },
    targetXid: { flag: '--target-xid <xid>', about: 'up to this transaction', parse: asText },
    targetName: {
      flag: '--target-name <name>',
      about: 'up to this restore point (pg_create_restore_point)',
      parse: asText,
    },
    latest: { flag: '--latest', about: 'up to the end of the archived WAL (the default)' },
    immediate: { flag: '--immediate', about: 'up to the end of the backup itself' },
    before: { flag: '--before', about: 'stop just before the time, position or transaction instead of after it' },
    timeline: {
      flag: '--timeline <id>',
      about: 'the timeline to follow: a number, latest or current (default: latest)',
      parse: asText,
    },
    action: {
      flag: '--action <action>',
      about: 'at the target: promote (open it, default) or shutdown (leave it stopped there)',
      parse: parseAction,
    },
    repository: {
      flag: '--repository <name>',
      about: 'the repository to restore from (default: the first one)',
      parse: asText,
    },
    tablespace: {
      flag: '--tablespace <old=new>',
      about: 'where a tablespace goes, named by its OID or its old directory; may be given several times',
      parse: parseTablespace,
    },
    tablespacesInto: {
      flag: '--tablespaces-into <directory>',
      about: 'where all other tablespaces go, each into a directory called by its OID',
      parse: asText,
    },
    database: {
      flag: '--database <name>',
      about: 'bring back only this database, beside the original under another name',
      parse: asText,
    },
    table: {
      flag: '--table <db.schema.table>',
      about: 'bring back only this table, beside the original in a schema of its own',
      parse: parseTable,
    },
    as: {
      flag: '--as <name>',
      about: 'the name of the new database, or of the schema for the table',
      parse: asText,
    },
    output: {
      flag: '--output <file>',
      about: 'write the database or table to a file for pg_restore, not encrypted, instead of loading it',
      parse: asText,
    },
    scratch: {
      flag: '--scratch <directory>',
      about: 'where the cluster is restored to meanwhile for --database and --table (default: node.stateDirectory)',
      parse: asText,
    },
    set: {
      flag: '--set <parameter=value>',
      about: 'a PostgreSQL parameter for the copy, such as a smaller shared_buffers; may be given several times',
      parse: parseParameter,
    },
    ...storeOptions,
    workers: {
      flag: '--workers <n>',
      about: 'threads that decrypt and write (default: one a core)',
      parse: parseWorkers,
    },
  },
  examples: [
    { command: 'holdfast restore --plan', about: 'what it would take to restore everything' },
    { command: 'holdfast restore --to /srv/restored', about: 'everything up to the end of the archive' },
    {
      command: 'holdfast restore --delta --to /var/lib/postgresql/16/main',
      about: 'onto what is left of a stopped server, fetching only what differs',
    },
    {
      command: "holdfast restore --table shop.public.orders --target-time '2026-11-22 13:00:00+00'",
      about: 'one table as it was, beside the original',
    },
    {
      command: "holdfast restore --to /srv/before --target-time '2026-11-22 13:00:00+00' --before",
      about: 'as it was just before something went wrong',
    },
    {
      command: 'holdfast restore --to /srv/restored --store s3://acme-backups/main --passphrase-file ./passphrase',
      about: 'on a new machine, with only the key and the address of the store',
    },
  ],
  exits: {
    ok: 'restored to the target (or the plan can be carried out)',
    failed: 'not restored; the directory holds no database that could be opened by mistake',
    notFound: 'there is no repository or no such backup',
    refused:
      'the directory is not empty, a server runs on it or it is of another cluster, it was not confirmed, the key does not open the repository, or this is root',
    busy: 'something that is needed is in use',
    unreachable: 'the repository does not answer',
    integrity: 'something the plan needs is missing or altered; nothing was opened',
  },
  run: async (context, options) => {
    const { commandConfig } = await import('../stores/command-config.ts')
    const config = await commandConfig(context, options)
    const { database, table } = options
    const subject = database === undefined ? table : ({ kind: 'database', database } as const)
    requireConsistent(options)
    if (subject !== undefined && !options.plan && !options.dryRun) {
      const { runRescueCommand } = await import('../restore/run-rescue-command.ts')
      return await runRescueCommand(config, context, subject, options)
    }
    const { runRestoreCommand } = await import('../restore/run-restore-command.ts')
    return await runRestoreCommand(config, context, options)
  },
})
