import { randomBytes } from 'node:crypto'
import type { LoadedConfig } from '../../config/load.ts'
import type { JobOrder, JobRun } from '../../schedule/core/ledger.ts'
import { scheduleFaults } from '../../schedule/faults.ts'
import type { Job } from '../../schedule/job.ts'
import { readLeader } from '../../schedule/ledger-store.ts'
import { runByCommand } from '../../schedule/run-by-command.ts'
import { runJob } from '../../schedule/run-job.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault, exitCodes } from '../../std/fault.ts'
import type { ExitClass } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { openConfiguredCoordinator } from '../open-configured.ts'
import { configuredJobs } from './configured-jobs.ts'

/** Runs a job now if this node leads, and what follows it; on every other node there is nothing to do. */
export async function runScheduleJob(
  { file, config }: LoadedConfig,
  context: CommandContext,
  name: string,
): Promise<ExitClass> {
  const { clock, signal, output, program, environment } = context
  const jobs = configuredJobs(config)
  const job = jobs.find((known) => known.name === name)
  if (job === undefined) throw unknownJob(name, jobs)
  await using coordinator = await openConfiguredCoordinator(config, clock)
  const leader = await readLeader(coordinator, config.cluster, signal)
  if (leader === null || leader.entry.node !== config.node.name) {
    const who = leader === null ? 'nobody leads' : `${leader.entry.node} leads, not ${config.node.name}`
    if (context.json) output.printJson({ leader: leader?.entry.node ?? null, runs: [] })
    else output.print(`nothing to do: ${who}`)
    return 'ok'
  }
  const run = async (one: Job, order: JobOrder, ending: AbortSignal): ReturnType<typeof runJob> => {
    const words = [...one.arguments(order), '--config', file]
    return await runJob({ program, environment, clock, arguments: words, sizeOf: one.sizeOf }, ending)
  }
  const runs: { readonly job: string; readonly run: JobRun }[] = []
  for (const one of [job, ...jobs.filter(({ followsBackup }) => followsBackup && job.name === 'backup')]) {
    const runner = `${config.node.name} ${randomBytes(6).toString('hex')}`
    const options = { coordinator, cluster: config.cluster, leader: leader.entry, runner, jobs, clock, signal, run }
    const done = await runByCommand(one, options)
    runs.push({ job: one.name, run: done })
    if (!context.json) output[done.outcome === 'ok' ? 'print' : 'note'](describeRun(one.name, done))
    if (done.outcome === 'failed') break
  }
  if (context.json) output.printJson({ leader: leader.entry.node, runs: runs.map(runDocument) })
  return worst(runs.map((each) => each.run))
}

function describeRun(job: string, run: JobRun): string {
  const size = run.sizeBytes === null ? '' : `, ${describeBytes(run.sizeBytes)}`
  const error = run.error === null ? '' : `: ${run.error}`
  return `${job}: ${run.outcome} in ${describeElapsed(run.durationMs)}${size}${error}`
}

function runDocument({ job, run }: { readonly job: string; readonly run: JobRun }): object {
  const startedAt = new Date(run.startedAt).toISOString()
  return { job, ...run, startedAt, moment: run.moment === null ? null : new Date(run.moment).toISOString() }
}

/** The exit class of the first run that did not go well. */
function worst(runs: readonly JobRun[]): ExitClass {
  const bad = runs.find(({ outcome }) => outcome !== 'ok')
  if (bad === undefined) return 'ok'
  const found = Object.entries(exitCodes).find(([, code]) => code === bad.exitCode)
  return found === undefined ? 'failed' : (found[0] as ExitClass)
}

function unknownJob(name: string, jobs: readonly Job[]): Fault {
  const known = jobs.length === 0 ? 'there is none without a repository' : jobs.map((job) => job.name).join(', ')
  return new Fault(scheduleFaults['schedule-job-unknown'], `Cannot run the job ${name}: the jobs are ${known}`)
}
