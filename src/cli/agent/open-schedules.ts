import { randomBytes } from 'node:crypto'
import type { ArchiverReport } from '../../archive/archiver-process.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { Coordinator } from '../../coordinator/coordinator.ts'
import { createSchedules } from '../../schedule/keep-schedules.ts'
import type { Schedules } from '../../schedule/keep-schedules.ts'
import { runJob } from '../../schedule/run-job.ts'
import type { Log } from '../../std/log.ts'
import type { CommandContext } from '../command.ts'
import { configuredJobs } from '../schedule/configured-jobs.ts'

/** The jobs of this node's cluster for one term that it leads. */
export function openSchedules(
  { file, config }: LoadedConfig,
  options: {
    readonly coordinator: Coordinator
    readonly term: number
    readonly context: CommandContext
    readonly log: Log
  },
): Schedules {
  const { coordinator, term, log } = options
  const { clock, program, environment } = options.context
  return createSchedules({
    coordinator,
    cluster: config.cluster,
    leader: { node: config.node.name, term },
    runner: `${config.node.name} ${randomBytes(6).toString('hex')}`,
    jobs: configuredJobs(config),
    run: (job, order, signal) =>
      runJob(
        { program, environment, clock, arguments: [...job.arguments(order), '--config', file], sizeOf: job.sizeOf },
        signal,
      ),
    clock,
    log,
  })
}

/** The gaps that an archiver speaks of, by their names in the gap ledger. */
export function gapNames(report: ArchiverReport | undefined): readonly string[] {
  return (report?.gaps ?? []).map(({ id }) => id)
}
