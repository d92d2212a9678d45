import type { FullReason } from '../../backup/core/choose-parent.ts'
import { takeBackup } from '../../backup/take-backup.ts'
import type { BackupResult } from '../../backup/take-backup.ts'
import type { Config } from '../../config/schema.ts'
import { backupOfPack } from '../../repository/core/object-names.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { Duration } from '../../std/duration.ts'
import { lowerPriority } from '../../std/lower-priority.ts'
import { keepHeapSmall } from '../../std/small-heap.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { CommandContext } from '../command.ts'
import { localSuperuser } from '../local-server.ts'
import { chooseWritten, type OpenedRepository, openOrCreateRepository } from '../open-configured.ts'
import { openProgressLine } from '../terminal/progress-line.ts'
import { backUpElsewhere, type BackupWishes } from './backup-elsewhere.ts'
import { backupNeed } from './backup-need.ts'

const backupNiceness = 10

const stageNames = {
  starting: 'waiting for a checkpoint',
  copying: 'copying',
  'waiting-for-wal': 'waiting for the WAL to be archived',
  committing: 'committing',
  done: 'done',
} as const

/** Backs up the cluster, from this node or another, and prints what came of it. */
export async function runBackup(
  config: Config,
  context: CommandContext,
  options: Omit<BackupWishes, 'repository'> & {
    readonly repository: string | undefined
    readonly fullAfter: Duration | undefined
    readonly ifNone: boolean
  },
): Promise<'ok' | 'degraded'> {
  const { clock, signal, output } = context
  // Before the first thread is made, which inherits it: a backup never takes the processor from the server or its agent.
  lowerPriority(backupNiceness)
  keepHeapSmall()
  await using opened = await openOrCreateRepository(chooseWritten(config, options.repository), { clock, signal })
  const need = await backupNeed(opened.repository, config.cluster, {
    ifNone: options.ifNone,
    fullAfterMs: options.fullAfter?.ms,
    now: clock.wall(),
    signal,
  })
  if ('present' in need) {
    if (context.json) output.printJson({ repository: opened.name, backup: null, present: need.present })
    else output.print(`nothing to do: repository ${opened.name} has backup ${need.present}`)
    return 'ok'
  }
  const wanted = { ...options, full: options.full || need.full, repository: opened.name }
  const elsewhere = await backUpElsewhere(config, context, wanted)
  const document = elsewhere ?? (await backUpHere(config, context, { opened, ...wanted }))
  if (context.json) output.printJson(document)
  else output.print(describeBackupDocument(document))
  return document.damagedPages.length === 0 ? 'ok' : 'degraded'
}

async function backUpHere(
  config: Config,
  { clock, signal, output }: CommandContext,
  { opened, ...options }: BackupWishes & { readonly opened: OpenedRepository },
): Promise<BackupDocument> {
  const target = await localSuperuser(config)
  const line = openProgressLine(clock)
  try {
    const result = await takeBackup(
      { repository: opened.repository, cluster: config.cluster, target, dataDirectory: config.node.dataDirectory },
      {
        clock,
        signal,
        node: config.node.name,
        label: options.label,
        full: options.full,
        readAll: options.readAll,
        workers: options.workers,
        onProgress: ({ stage, bytesDone, bytesTotal }) =>
          output.progress(stage === 'copying' ? line(bytesDone, bytesTotal, 'copying') : stageNames[stage]),
      },
    )
    return backupDocument(opened.name, result)
  } finally {
    output.progress('')
  }
}

/** Why a backup is a full one, where somebody may have expected an incremental one. */
const fullReasons = {
  wanted: '',
  'first-of-cluster': '',
  'no-ancestor': ', since no earlier backup is part of the past of this server',
  'checksums-changed': ', since page checksums were turned on or off',
  'parent-expiring': ', since the last backup is being expired',
  'parent-damaged': ', since objects of the last backup are missing or damaged (`holdfast backups --verify`)',
} as const satisfies Record<FullReason, string>

function describeBackupDocument(document: BackupDocument): string {
  const { repository, backup, stages, damagedPages, skippedFiles, changedBytes, takenOverBytes, fullReason } = document
  const elapsedMs = stages.startMs + stages.copyMs + stages.stopMs + stages.walMs + stages.commitMs
  return [
    `backup ${backup.id} is complete in repository ${repository}`,
    fullReason === undefined
      ? `  incremental: ${describeBytes(changedBytes)} changed since ${backup.parent}`
      : `  full${fullReasons[fullReason]}`,
    `  ${describeBytes(backup.dataBytes)} in ${backup.fileCount} files, ${describeBytes(backup.storedBytes)} stored, ${describeElapsed(elapsedMs)}`,
    `  from ${backup.node === null ? '' : `${backup.node}, `}a ${backup.role}`,
    ...(takenOverBytes === 0 ? [] : [`  ${describeBytes(takenOverBytes)} taken over from an interrupted backup`]),
    ...damagedPages.map(({ path, page }) => `  damaged on the server and in this backup: ${path}, page ${page}`),
    ...skippedFiles.map((path) => `  not in the backup, since it is no ordinary file: ${path}`),
  ].join('\n')
}

/** What `backup --json` prints. */
export type BackupDocument = Omit<BackupResult, 'commit'> & {
  readonly repository: string
  readonly backup: ReturnType<typeof backupRow>
}

function backupDocument(repository: string, { commit, ...rest }: BackupResult): BackupDocument {
  return { repository, backup: backupRow(commit), ...rest }
}

/** A backup as `backup --json` and `backups --json` print it. */
export function backupRow(commit: BackupResult['commit']) {
  const { facts } = commit
  return {
    id: facts.backup,
    kind: facts.kind,
    parent: facts.parent,
    label: facts.labels['label'] ?? null,
    startedAt: new Date(facts.startedAt).toISOString(),
    stoppedAt: new Date(facts.stoppedAt).toISOString(),
    committedAt: new Date(commit.committedAt).toISOString(),
    node: facts.node,
    role: facts.role,
    postgresVersion: facts.postgresVersion,
    systemIdentifier: facts.systemIdentifier,
    timeline: facts.timeline,
    startLsn: formatLsn(facts.startLsn),
    stopLsn: formatLsn(facts.stopLsn),
    dataBytes: facts.dataBytes,
    storedBytes: storedBytes(commit),
    fileCount: facts.fileCount,
    damagedPages: facts.damagedPages,
  }
}

/** What a backup itself added to the repository: packs that it shares with earlier ones do not count. */
export function storedBytes({ manifest, facts }: BackupResult['commit']): number {
  const own = facts.packs.filter(({ key }) => backupOfPack(key) === facts.backup)
  return own.reduce((sum, pack) => sum + pack.sizeBytes, manifest.sizeBytes)
}
