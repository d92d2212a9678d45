import type { Config } from '../../config/schema.ts'
import { jobProblems, reasonWords } from '../../schedule/core/report-jobs.ts'
import type { JobReport } from '../../schedule/core/report-jobs.ts'
import { describeBytes } from '../../std/byte-size.ts'
import type { EpochMs } from '../../std/clock.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredCoordinator } from '../open-configured.ts'
import { reportRepositories } from '../status/repository-report.ts'
import { formatTable } from '../terminal/table.ts'
import { ago, describeLast, describeNext, isoTime, jobDocument } from './job-text.ts'
import { observeJobs } from './observe-jobs.ts'

/** Prints every job: when it runs next, what came of its last run, and what was missed. */
export async function runSchedule(config: Config, context: CommandContext): Promise<'ok' | 'degraded'> {
  const { clock, signal, output } = context
  chooseRepository(config, undefined)
  await using coordinator = await openConfiguredCoordinator(config, clock)
  const now = clock.wall()
  const newestBackup = await newestBackupAt(config, context)
  const { jobs, unreadable } = await observeJobs(config, coordinator, { now, newestBackup, signal })
  const problems = [
    ...(unreadable === null ? [] : [`what has become of the jobs cannot be read: ${unreadable}`]),
    ...jobs.flatMap((job) => jobProblems(job, (moment) => `${isoTime(moment)}, ${ago(now, moment)}`)),
  ]
  if (context.json) output.printJson({ runBy: config.schedules.runBy, problems, jobs: jobs.map(jobDocument) })
  else output.print(render(config, jobs, problems, now))
  return problems.length === 0 ? 'ok' : 'degraded'
}

/** Only where others than the agent take backups does it say what has become of a moment. */
export async function newestBackupAt(
  config: Config,
  { clock, signal }: Pick<CommandContext, 'clock' | 'signal'>,
): Promise<EpochMs | null> {
  if (config.schedules.runBy === 'agent') return null
  const [repository] = config.repositories
  const only = { ...config, repositories: repository === undefined ? [] : [repository] }
  const [report] = await reportRepositories({ config: only, timeline: null, clock, signal })
  return report?.readable === true ? (report.last?.startedAt ?? null) : null
}

function render(config: Config, jobs: readonly JobReport[], problems: readonly string[], now: EpochMs): string {
  const rows = jobs.map((job) => [
    job.name,
    describeSchedule(job),
    describeNext(job, now),
    describeLast(job, now),
    ...lastFigures(job),
  ])
  const lines = [formatTable(['job', 'when', 'next', 'last', 'took', 'size', 'on'], rows, [4, 5])]
  for (const { name, missed } of jobs) {
    for (const { count, exact, from, to, because } of missed) {
      const range = from === to ? isoTime(to) : `${isoTime(from)} to ${isoTime(to)}`
      lines.push(`missed: ${exact ? '' : 'at least '}${count} of ${name}, ${range}: ${reasonWords[because]}`)
    }
  }
  if (config.schedules.runBy === 'system') {
    lines.push('cron or systemd runs them (`schedules.runBy: system`); `holdfast schedule print` prints what they need')
  }
  return [...lines, ...problems.map((problem) => `! ${problem}`)].join('\n')
}

function describeSchedule({ schedule, followsBackup }: JobReport): string {
  if (schedule !== null) return `${schedule.expression} ${schedule.timeZone}`
  return followsBackup ? 'after each backup' : 'off'
}

function lastFigures({ last }: JobReport): readonly string[] {
  if (last === null) return ['', '', '']
  const size = last.sizeBytes === null ? '' : describeBytes(last.sizeBytes)
  return [describeElapsed(last.durationMs), size, last.node]
}
