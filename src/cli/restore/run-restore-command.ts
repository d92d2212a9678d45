import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Config } from '../../config/schema.ts'
import { chooseInstallation, installationSearch } from '../../postgres/installation.ts'
import { describeRecoveryTarget } from '../../restore/core/target.ts'
import { planFromRepository } from '../../restore/plan-from-repository.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import { recover } from '../../restore/recover.ts'
import { runRestore } from '../../restore/run-restore.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import { openProgressLine } from '../terminal/progress-line.ts'
import { namingLeftovers } from './naming-leftovers.ts'
import { restoreRequest } from './restore-request.ts'
import type { TargetOptions } from './restore-request.ts'

export interface RestoreCommandOptions extends TargetOptions {
  readonly to: string | undefined
  readonly plan: boolean
  readonly action: 'promote' | 'shutdown' | undefined
  readonly repository: string | undefined
  readonly tablespace: ReadonlyMap<string, string> | undefined
  readonly tablespacesInto: string | undefined
  readonly set: Readonly<Record<string, string>> | undefined
  readonly workers: number | undefined
}

/** Plans, shows the plan, and carries it out; prints where the restored database is and how to start it. */
export async function runRestoreCommand(
  config: Config,
  context: CommandContext,
  options: RestoreCommandOptions,
): Promise<'ok'> {
  const { clock, signal, output } = context
  const request = restoreRequest(options)
  if (!options.plan) requireRunnable(options)
  await using opened = await openConfiguredRepository(chooseRepository(config, options.repository), { clock, signal })
  const planned = await planFromRepository(opened.repository, config.cluster, request, { signal })
  if (options.plan) {
    if (context.json) output.printJson(planDocument(planned))
    else output.print(describePlan(planned, clock.wall()))
    return 'ok'
  }
  if (!context.json) output.note(describePlan(planned, clock.wall()))
  const search = installationSearch(context.environment, process.getuid?.() ?? 0)
  const major = Math.floor(planned.commit.facts.postgresVersion / 10_000)
  const { binDirectory } = config.postgres.major === major ? config.postgres : { binDirectory: undefined }
  const installation = await chooseInstallation(search, { major, binDirectory })
  const directory = resolve(context.workingDirectory, options.to ?? '')
  try {
    const restored = await layOut(opened.repository, planned, directory, context, options)
    const line = openProgressLine(clock)
    await using recovered = await recover(opened.repository, planned, {
      installation,
      dataDirectory: directory,
      action: options.action ?? 'promote',
      superuser: config.postgres.superuser.name,
      parameters: options.set,
      clock,
      signal,
      onProgress: ({ bytesDone, bytesTotal }) => output.progress(line(bytesDone, bytesTotal, 'replaying WAL')),
    })
    await recovered.stop()
    output.progress('')
    const { stoppedAt, elapsedMs } = recovered
    if (context.json) {
      output.printJson({
        plan: planDocument(planned),
        restored,
        recovered: { stoppedAt: stoppedAt ?? null, elapsedMs },
      })
    } else {
      const libraries = Object.entries(installation.environment).map(([name, value]) => `${name}=${value} `)
      const postgres = `${libraries.join('')}${installation.tools.postgres}`
      output.print(
        describeResult(planned, {
          superuser: config.postgres.superuser.name,
          directory,
          postgres,
          restored,
          stoppedAt,
          elapsedMs,
          action: options.action,
        }),
      )
    }
    return 'ok'
  } catch (error) {
    throw await namingLeftovers(signal.aborted ? signal.reason : error, directory)
  } finally {
    output.progress('')
  }
}

function requireRunnable({ to }: RestoreCommandOptions): void {
  if (process.getuid?.() === 0) throw new Fault(cliFaults['cli-runs-as-root'], 'Cannot restore: this is root')
  if (to !== undefined && to !== '') return
  throw new Fault(cliFaults['cli-usage'], 'Cannot restore: --to DIRECTORY is missing', {
    hint: '`holdfast restore --plan` shows the plan without a directory.',
  })
}

type Restored = Awaited<ReturnType<typeof runRestore>>

async function layOut(
  repository: Parameters<typeof runRestore>[0],
  planned: PlannedRestore,
  targetDirectory: string,
  { clock, signal, output, workingDirectory }: CommandContext,
  options: RestoreCommandOptions,
): Promise<Restored> {
  const into = options.tablespacesInto
  const line = openProgressLine(clock)
  return await runRestore(repository, planned, {
    targetDirectory,
    tablespaces: options.tablespace,
    tablespacesInto: into === undefined ? undefined : resolve(workingDirectory, into),
    workers: options.workers ?? availableParallelism(),
    clock,
    signal,
    onProgress: ({ stage, bytesDone, bytesTotal }) =>
      output.progress(stage === 'writing' ? line(bytesDone, bytesTotal, 'restoring files') : `${stage} files`),
  })
}

function planDocument({ plan, commit }: PlannedRestore): object {
  return {
    target: describeRecoveryTarget(plan.target),
    backup: plan.backup.id,
    backupStoppedAt: new Date(plan.backup.stopTimeMs).toISOString(),
    timeline: plan.timeline,
    path: plan.path.map(({ timeline }) => timeline),
    dataBytes: plan.backup.sizeBytes,
    storedBytes: commit.facts.packs.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes),
    walBytes: plan.walBytes,
    walPieces: plan.wal.length,
    startLsn: formatLsn(plan.backup.startLsn),
    walEndLsn: formatLsn(plan.walEndLsn),
    gap: plan.gap === undefined ? null : { timeline: plan.gap.timeline, endLsn: formatLsn(plan.gap.endLsn) },
  }
}

function describePlan({ plan, commit }: PlannedRestore, now: number): string {
  const { backup } = plan
  const stored = commit.facts.packs.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes)
  const wal = `${describeBytes(plan.walBytes)} from ${formatLsn(backup.startLsn)}, timeline ${plan.path.map(({ timeline }) => timeline).join(' → ')}`
  return [
    `target  ${describeRecoveryTarget(plan.target)}`,
    `backup  ${backup.id}, ended ${describeElapsed(now - backup.stopTimeMs)} ago`,
    `data    ${describeBytes(backup.sizeBytes)} in ${commit.facts.fileCount} files, ${describeBytes(stored)} to fetch`,
    `wal     ${wal}; the archive reaches ${formatLsn(plan.walEndLsn)}`,
    ...(plan.gap === undefined
      ? []
      : [`gap     WAL up to ${formatLsn(plan.gap.endLsn)} is missing; nothing beyond it can be reached`]),
  ].join('\n')
}

function describeResult(
  planned: PlannedRestore,
  result: {
    readonly directory: string
    readonly postgres: string
    readonly superuser: string
    readonly restored: Restored
    readonly stoppedAt: string | undefined
    readonly elapsedMs: number
    readonly action: 'promote' | 'shutdown' | undefined
  },
): string {
  const { directory, restored } = result
  const files = `${describeBytes(restored.bytes)} in ${describeElapsed(restored.elapsedMs)}`
  return [
    `restored to ${describeRecoveryTarget(planned.plan.target)} in ${directory}`,
    `  files ${files}, recovery ${describeElapsed(result.elapsedMs)}${result.stoppedAt === undefined ? '' : `, ended ${result.stoppedAt}`}`,
    result.action === 'shutdown'
      ? '  it is stopped at the target and not opened yet'
      : `  it is stopped; it reaches nobody until you change its holdfast.conf. To look at it:`,
    ...(result.action === 'shutdown'
      ? []
      : [
          `    ${result.postgres} -D ${directory}    then: psql -h ${directory} -p 5432 -U ${result.superuser} postgres`,
        ]),
  ].join('\n')
}
