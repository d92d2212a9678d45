import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import type { Config } from '../../config/schema.ts'
import { readControlFile } from '../../postgres/control-file.ts'
import type { Installation } from '../../postgres/installation.ts'
import { openBackupManifest } from '../../repository/catalogue.ts'
import type { Repository } from '../../repository/repository.ts'
import { forecastRestore } from '../../restore/core/forecast.ts'
import { describeRecoveryTarget } from '../../restore/core/target.ts'
import { restoreFaults } from '../../restore/faults.ts'
import { inspectTarget } from '../../restore/layout/claim-target.ts'
import type { TargetState } from '../../restore/layout/claim-target.ts'
import { placeTablespaces } from '../../restore/layout/place-tablespaces.ts'
import { roomFor } from '../../restore/layout/room.ts'
import { measureFetch } from '../../restore/measure-fetch.ts'
import { planFromRepository } from '../../restore/plan-from-repository.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import { recover } from '../../restore/recover.ts'
import { readRestoreHistory, recordRestore } from '../../restore/restore-history.ts'
import { runRestore } from '../../restore/run-restore.ts'
import type { RestoreResult } from '../../restore/run-restore.ts'
import { unusablePacks } from '../../restore/unusable-packs.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { openForReading } from '../open-configured.ts'
import { confirm } from '../terminal/confirm.ts'
import { openProgressReport } from '../terminal/progress-report.ts'
import { installationFor } from './installation-for.ts'
import { namingLeftovers } from './naming-leftovers.ts'
import { describeOutcome, describeOutlook, outlookDocument } from './restore-report.ts'
import type { RestoreOutlook } from './restore-report.ts'
import { restoreRequest } from './restore-request.ts'
import type { TargetOptions } from './restore-request.ts'

export interface RestoreCommandOptions extends TargetOptions {
  readonly to: string | undefined
  readonly plan: boolean
  readonly dryRun: boolean
  readonly delta: boolean
  readonly adopt: boolean
  readonly yes: boolean
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
): Promise<'ok' | 'integrity'> {
  const { clock, signal, output } = context
  const onlyPlan = options.plan || options.dryRun
  if (!onlyPlan) requireRunnable(options)
  requireAdoptable(config, context, options)
  const given = options.to === undefined || options.to === '' ? undefined : options.to
  const directory = given === undefined ? undefined : resolve(context.workingDirectory, given)
  await using opened = await openForReading(config, options.repository, { clock, signal })
  const { repository } = opened
  const state: TargetState = directory === undefined ? { kind: 'empty' } : await inspectTarget(directory)
  const planned = await planGoingOn(repository, config.cluster, context, options, state)
  const outlook = await lookAhead(repository, planned, { config, context, options, directory })
  if (onlyPlan || directory === undefined) {
    if (context.json) output.printJson(outlookDocument(outlook))
    else output.print(describeOutlook(outlook, clock.wall()))
    return outlook.unusablePacks.length === 0 ? 'ok' : 'integrity'
  }
  if (!context.json) output.note(describeOutlook(outlook, clock.wall()))
  const [unusable] = outlook.unusablePacks
  if (unusable !== undefined) throw unusable
  const installation = await installationFor(config, context, planned)
  if (state.kind === 'occupied' && options.delta && !options.yes) {
    await confirm(context, await overwriteQuestion(directory, planned))
  }
  try {
    await carryOut(repository, planned, { config, context, options, directory, state, outlook, installation })
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

/** Only the directory of this node can become the cluster's, and only opened. */
function requireAdoptable(config: Config, { workingDirectory }: CommandContext, options: RestoreCommandOptions): void {
  if (!options.adopt) return
  const isOwn = resolve(workingDirectory, options.to ?? '') === resolve(config.node.dataDirectory)
  if (isOwn && options.action !== 'shutdown') return
  const reason = isOwn
    ? '--action shutdown leaves it unopened'
    : `--to is not node.dataDirectory, ${config.node.dataDirectory}`
  throw new Fault(cliFaults['cli-usage'], `Cannot adopt what is restored: ${reason}`)
}

/** A restore that did not come to its end goes on with its own backup, though there may be a newer one by now. */
async function planGoingOn(
  repository: Repository,
  cluster: string,
  { signal }: CommandContext,
  options: RestoreCommandOptions,
  state: TargetState,
): Promise<PlannedRestore> {
  const request = restoreRequest(options)
  const isSame = state.kind === 'unfinished' && state.note.target === describeRecoveryTarget(request.target)
  if (isSame && request.backupId === undefined) {
    try {
      return await planFromRepository(repository, cluster, { ...request, backupId: state.note.backup }, { signal })
    } catch (error) {
      if (!isFault(error, restoreFaults['restore-no-backup'])) throw error
    }
  }
  return await planFromRepository(repository, cluster, request, { signal })
}

interface Surroundings {
  readonly config: Config
  readonly context: CommandContext
  readonly options: RestoreCommandOptions
}

async function lookAhead(
  repository: Repository,
  planned: PlannedRestore,
  { config, context, options, directory }: Surroundings & { readonly directory: string | undefined },
): Promise<RestoreOutlook> {
  const { clock, signal } = context
  const manifest = await openBackupManifest(repository, planned.commit, { signal })
  const places = directory === undefined ? undefined : placeTablespaces(manifest.tablespaces, placing(context, options))
  const rooms =
    directory === undefined || places === undefined
      ? []
      : await roomFor({ path: directory, tablespaces: places }, manifest.files())
  const unusable = await unusablePacks(repository, planned, { signal })
  const workers = options.workers ?? availableParallelism()
  const todo = { dataBytes: planned.commit.facts.dataBytes, walBytes: planned.plan.walBytes }
  const forecast =
    forecastRestore(await readRestoreHistory(historyFile(config)), todo) ??
    (unusable.length === 0 && (options.plan || options.dryRun)
      ? await measureFetch(repository, planned, { workers, clock, signal })
      : undefined)
  return { planned, forecast, rooms, unusablePacks: unusable, tablespaces: manifest.tablespaces }
}

function historyFile(config: Config): string {
  return join(config.node.stateDirectory, 'restores.jsonl')
}

function placing(
  { workingDirectory }: CommandContext,
  { tablespace, tablespacesInto: into }: RestoreCommandOptions,
): { readonly tablespaces: ReadonlyMap<string, string> | undefined; readonly tablespacesInto: string | undefined } {
  return { tablespaces: tablespace, tablespacesInto: into === undefined ? undefined : resolve(workingDirectory, into) }
}

async function overwriteQuestion(directory: string, { plan }: PlannedRestore): Promise<string> {
  const control = await readControlFile(directory)
  const beyond =
    control.checkpointLsn > plan.walEndLsn
      ? ` Its WAL goes beyond the repository's, which ends at ${formatLsn(plan.walEndLsn)}: what is only there is lost.`
      : ''
  const what = `a data directory (${control.state}, timeline ${control.timeline}, checkpoint at ${formatLsn(control.checkpointLsn)})`
  return `${directory} holds ${what}. Everything in it becomes backup ${plan.backup.id}.${beyond}`
}

interface Undertaking extends Surroundings {
  readonly directory: string
  readonly state: TargetState
  readonly outlook: RestoreOutlook
  readonly installation: Installation
}

async function carryOut(repository: Repository, planned: PlannedRestore, undertaking: Undertaking): Promise<void> {
  const { config, context, options, directory, installation } = undertaking
  const { clock, signal, output } = context
  const report = openProgressReport(context)
  const { adopt } = options
  const restored = isLaidOut(planned, undertaking.state)
    ? undefined
    : await runRestore(repository, planned, {
        targetDirectory: directory,
        delta: options.delta,
        ...placing(context, options),
        workers: options.workers ?? availableParallelism(),
        clock,
        signal,
        onProgress: (progress) => report(`${progress.stage} files`, progress),
      })
  const action = options.action ?? 'promote'
  await using recovered = await recover(repository, planned, {
    installation,
    dataDirectory: directory,
    action,
    adopt,
    superuser: config.postgres.superuser.name,
    parameters: options.set,
    clock,
    signal,
    onProgress: (progress) => report('replaying WAL', progress),
  })
  await recovered.stop()
  output.progress('')
  await remember(undertaking, planned, restored, recovered.elapsedMs)
  if (context.json) {
    const { stoppedAt, elapsedMs, tablespacesInPlace } = recovered
    const document = { plan: outlookDocument(undertaking.outlook), restored: restored ?? null }
    output.printJson({ ...document, recovered: { stoppedAt: stoppedAt ?? null, elapsedMs, tablespacesInPlace } })
    return
  }
  const libraries = Object.entries(installation.environment).map(([name, value]) => `${name}=${value} `)
  const postgres = `${libraries.join('')}${installation.tools.postgres}`
  const superuser = config.postgres.superuser.name
  output.print(describeOutcome({ planned, directory, postgres, superuser, restored, recovered, action, adopt }))
}

/** Whether only the recovery of the very same restore is left to do. */
function isLaidOut({ plan }: PlannedRestore, state: TargetState): boolean {
  return (
    state.kind === 'unfinished' &&
    state.stage === 'recovery' &&
    state.note.backup === plan.backup.id &&
    state.note.target === describeRecoveryTarget(plan.target) &&
    state.note.timeline === plan.timeline
  )
}

async function remember(
  { config, context }: Undertaking,
  { plan }: PlannedRestore,
  restored: RestoreResult | undefined,
  recoveryMs: number,
): Promise<void> {
  if (restored === undefined) return
  await recordRestore(historyFile(config), {
    at: new Date(context.clock.wall()).toISOString(),
    writtenBytes: restored.bytes,
    filesMs: Math.round(restored.elapsedMs),
    walBytes: plan.target.kind === 'latest' || plan.target.kind === 'lsn' ? plan.walBytes : 0,
    recoveryMs: Math.round(recoveryMs),
  })
}
