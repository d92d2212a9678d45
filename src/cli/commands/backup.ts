import { UsageError, asDuration, asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

function parseWorkers(text: string): number {
  const workers = Number(text)
  if (!Number.isInteger(workers) || workers < 1 || workers > 64) throw new UsageError('a whole number from 1 to 64')
  return workers
}

export const backupCommand = defineCommand({
  name: 'backup',
  summary: 'take a backup of the cluster, from a standby where there is a healthy one',
  description:
    'Takes an encrypted backup of a running server into a repository. Where a standby is healthy it is that one’s files that are read, by its own agent; else the primary’s (`--from`). It copies what changed since the newest backup that its data goes on from, or everything where there is none. Either is complete: it restores without the others and does not mind when they are deleted. It is listed only when every byte that a restore needs, WAL included, is durable there; an interrupted backup leaves nothing that counts, and the next one uses what it has stored. A standby asks its primary for a checkpoint and a WAL switch; when it is promoted meanwhile the backup ends. The repository is made when its directory is empty.',
  options: {
    from: {
      flag: '--from <node>',
      about: '`standby`, `primary`, `here`, or a node by its name (default: `backup.from`, which is `standby`)',
      parse: asText,
    },
    repository: { flag: '--repository <name>', about: 'the repository to use (default: the first one)', parse: asText },
    label: { flag: '--label <text>', about: 'what you want to call the backup', parse: asText },
    full: { flag: '--full', about: 'copy everything, even what an earlier backup has' },
    fullAfter: {
      flag: '--full-after <duration>',
      about: 'copy everything when the last backup that did is older: 30d',
      parse: asDuration,
    },
    ifNone: { flag: '--if-none', about: 'do nothing when the repository has a backup of this cluster' },
    readAll: { flag: '--read-all', about: 'read every file, also those that look untouched since the last backup' },
    workers: {
      flag: '--workers <n>',
      about: 'threads that read and encrypt (default: one a core, at most 4); each takes about 80 MB',
      parse: parseWorkers,
    },
  },
  examples: [
    { command: 'holdfast backup', about: 'into the first repository' },
    { command: 'holdfast backup --from primary', about: 'of the primary, whatever standbys there are' },
    { command: 'holdfast backup --full', about: 'everything anew; needed after `pg_checksums` was used' },
    { command: "holdfast backup --label 'before upgrade'", about: 'with a name you will recognize' },
  ],
  exits: {
    ok: 'the backup is complete and listed',
    degraded: 'the backup is listed, but the server has damaged pages, which are named',
    failed: 'nothing was listed; the server is unharmed',
    refused: 'the server cannot be backed up as it is, or the repository belongs to another system',
    busy: 'another backup of this server is running',
    unreachable: 'the server, the repository or the chosen node does not answer',
    integrity: 'the data directory or the repository is damaged',
  },
  run: async (context, options) => {
    const { runBackup } = await import('../backups/run-backup.ts')
    const { config } = await loadContextConfig(context)
    return await runBackup(config, context, options)
  },
})
