import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cloneDataDirectory } from '../../postgres/clone/clone-data-directory.ts'
import { isUnfinishedClone } from '../../postgres/clone/unfinished-clone.ts'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { readControlFile } from '../../postgres/control-file.ts'
import { writePassFile } from '../../postgres/pass-file.ts'
import { programEnvironment } from '../../postgres/program-environment.ts'
import { openReplicationConnection } from '../../postgres/replication/replication-connection.ts'
import { withSql } from '../../postgres/sql.ts'
import { syncDirectory, writeFileDurably } from '../../std/durable-file.ts'
import { Fault } from '../../std/fault.ts'
import { lastLines, runProgramToEnd } from '../../std/run-program.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { classifyWalFile, segmentOf } from '../../wal/core/segment.ts'
import { clusterFaults } from '../faults.ts'
import { clearDirectory } from './bootstrap-data.ts'
import type { AgentContext } from './agent-context.ts'

export interface LeaderAddress {
  readonly host: string
  readonly port: number
}

/**
 * Clones the leader into this node's data directory. What was there is kept aside until the clone is whole, and of its
 * WAL the part that no other node may have is kept for good.
 */
export async function cloneLeader(context: AgentContext, leader: LeaderAddress, signal: AbortSignal): Promise<void> {
  const { options, configuration, events } = context
  const { dataDirectory } = options
  const aside = `${dataDirectory}.replaced`
  if (context.unborn() !== null) await clearDirectory(dataDirectory)
  const entries = await readdir(dataDirectory).catch(() => [])
  if (entries.length > 0 && !(await isUnfinishedClone(dataDirectory))) {
    await rm(aside, { recursive: true, force: true })
    await rename(dataDirectory, aside)
    await keepDivergentWal(context, aside, null)
  }
  events.note('clone-begun', { host: leader.host, port: leader.port })
  const result = await cloneDataDirectory(leaderTarget(context, leader), dataDirectory, { signal })
  await fetchHistory(leaderTarget(context, leader), dataDirectory, result.timeline, signal)
  await configuration.write({ upstream: null, sync: null })
  await configuration.writeAuthentication()
  await context.setUnborn(null)
  context.memory.forgetFailures('start')
  context.memory.clonedAt = options.clock.monotonic()
  await rm(aside, { recursive: true, force: true })
  events.note('clone-done', { sizeBytes: result.sizeBytes, endLsn: formatLsn(result.endLsn) })
}

/** A base backup without WAL has no history file, and without it nobody knows which way the copy came. */
async function fetchHistory(
  leader: ConnectionTarget,
  dataDirectory: string,
  timeline: TimelineId,
  signal: AbortSignal,
): Promise<void> {
  if (timeline === 1) return
  await using connection = await openReplicationConnection(leader, { signal })
  const { fileName, content } = await connection.timelineHistory(timeline)
  await writeFileDurably(join(dataDirectory, 'pg_wal', fileName), content)
}

/** Takes this node's data back to where it left the leader's history. PostgreSQL is stopped, cleanly. */
export async function rewindToLeader(
  context: AgentContext,
  leader: LeaderAddress,
  divergedAt: Lsn,
  signal: AbortSignal,
): Promise<void> {
  const { options, configuration, events } = context
  const { dataDirectory, installation, stateDirectory, superuser } = options
  const { pgRewind } = installation.tools
  if (pgRewind === undefined) throw rewindFault('there is no pg_rewind')
  await keepDivergentWal(context, dataDirectory, divergedAt)
  const passFile = join(stateDirectory, 'rewind.pass')
  await writePassFile(passFile, [
    { entry: { ...leader, database: '*', user: superuser.name }, password: superuser.password },
  ])
  // Until its first checkpoint after the promotion the leader's control file still names the old timeline, and pg_rewind
  // would find nothing to do.
  const superuserThere = { ...leaderTarget(context, leader), user: superuser.name, password: superuser.password }
  await withSql(superuserThere, { signal }, (sql) => sql.query('checkpoint'))
  try {
    const source = `host=${leader.host} port=${leader.port} user=${superuser.name} dbname=postgres connect_timeout=5`
    const result = await runProgramToEnd(pgRewind, ['--target-pgdata', dataDirectory, '--source-server', source], {
      environment: programEnvironment(installation, { PGPASSFILE: passFile }),
      workingDirectory: stateDirectory,
      deadlineMs: 30 * 60_000,
      signal,
    })
    if (result.exitCode !== 0) throw rewindFault(lastLines(result.stderr, 5))
    if (result.stderr.includes('no rewind required')) throw rewindFault('pg_rewind sees no divergence')
  } finally {
    await rm(passFile, { force: true })
  }
  await configuration.write({ upstream: null, sync: null })
  await configuration.writeAuthentication()
  events.note('rewound', { divergedAt: formatLsn(divergedAt) })
}

/**
 * Copies the WAL of a data directory from the divergence on (all of it where that is not known) to
 * `divergent/<timeline>-<lsn>/`: the only trace of what this node wrote and the others never had.
 */
async function keepDivergentWal(context: AgentContext, dataDirectory: string, from: Lsn | null): Promise<void> {
  const control = await readControlFile(dataDirectory).catch(() => undefined)
  // An unfinished copy has written nothing of its own.
  if (control === undefined || (await readdir(dataDirectory)).includes('backup_label')) return
  const start = from ?? control.redoLsn
  const first = segmentOf(start, control.walSegmentBytes)
  const label = `${control.timeline}-${formatLsn(start).replace('/', '_')}`
  const directory = join(context.options.stateDirectory, 'divergent', label)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  for (const name of await readdir(join(dataDirectory, 'pg_wal'))) {
    const file = classifyWalFile(name, control.walSegmentBytes)
    if (file === undefined || file.kind === 'backup') continue
    if (file.kind === 'history' || file.segment >= first) {
      await copyFile(join(dataDirectory, 'pg_wal', name), join(directory, name))
    }
  }
  await syncDirectory(directory)
  context.events.note('divergent-wal-kept', { directory, from: formatLsn(start) })
}

function leaderTarget({ options }: AgentContext, leader: LeaderAddress): ConnectionTarget {
  return {
    ...leader,
    user: options.replication.name,
    password: options.replication.password,
    database: 'postgres',
    applicationName: 'holdfast clone',
  }
}

function rewindFault(why: string): Fault {
  return new Fault(clusterFaults['cluster-rewind-failed'], `Cannot rewind the data directory: ${why}`)
}
