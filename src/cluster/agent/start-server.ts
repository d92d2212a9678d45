import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSignalFiles } from '../../postgres/data-directory.ts'
import { postgresCommand } from '../../postgres/server.ts'
import { readPostmasterPid } from '../../postgres/postmaster.ts'
import { requireFreePort } from '../../postgres/port.ts'
import { Fault } from '../../std/fault.ts'
import { lastLines } from '../../std/run-program.ts'
import type { TaskCommand } from '../core/decision.ts'
import { clusterFaults } from '../faults.ts'
import type { AgentContext } from './agent-context.ts'
import { removeUnusedReservations } from './reserve-timeline.ts'
import { socketDirectory } from './server-configuration.ts'
import { removeStaleLockFiles } from './stale-lock-files.ts'

const pollMs = 10
/** A server that recovers for longer goes on doing so; the cycles see it starting. */
const patienceMs = 1000

/**
 * Has the fencer start PostgreSQL and waits until it answers. A standby starts cut off from everybody: what it holds is
 * looked at before it may follow a leader. Only an unfinished copy
 * of a leader follows from the start. A primary starts with its durability set in force from the first commit on.
 */
export async function startServerOfNode(
  context: AgentContext,
  { as, sync, upstream }: Extract<TaskCommand, { command: 'start' }>,
  signal: AbortSignal,
): Promise<void> {
  const { options, configuration, memory, fencer, facts } = context
  const { dataDirectory, clock } = options
  await facts.close()
  await removeUnusedReservations(dataDirectory)
  await removeStaleLockFiles(dataDirectory, socketDirectory(options), options.port)
  await configuration.write({ upstream, sync: as === 'standby' ? null : sync })
  await configuration.writeAuthentication()
  await writeSignalFiles(dataDirectory, as)
  await requireFreePort(options.port, options.listenAddresses)
  memory.forgetServer()
  context.answered = false
  const command = postgresCommand(options.installation, dataDirectory)
  const logFile = join(options.stateDirectory, 'postgres.log')
  const logStart = await sizeOf(logFile)
  if (as === 'standby' && context.keeper.held === null) await fencer().disarm()
  const { pid } = await fencer().start({
    argv: [command.program, ...command.arguments],
    env: command.environment,
    cwd: dataDirectory,
    logFile,
    role: as,
  })
  context.events.note('postgres-started', { as, pid })
  if (as === 'primary' && sync !== null) memory.syncInForce = [sync]
  if (upstream !== null) memory.following = `${upstream.host}:${upstream.port}`
  for (const end = clock.monotonic() + patienceMs; clock.monotonic() < end;) {
    signal.throwIfAborted()
    const { postgres } = fencer().state
    if (postgres.status === 'exited' || postgres.status === 'none') throw await startFault(logFile, logStart)
    const found = await readPostmasterPid(dataDirectory)
    if (found?.pid === pid && (found.status === 'ready' || found.status === 'standby')) return
    await clock.sleep(pollMs, { signal })
  }
}

async function startFault(logFile: string, logStart: number): Promise<Fault> {
  await using log = await open(logFile, 'r')
  const { size } = await log.stat()
  const bytes = Buffer.alloc(Math.min(size - logStart, 64 * 1024))
  await log.read(bytes, 0, bytes.length, size - bytes.length)
  return new Fault(
    clusterFaults['cluster-start-failed'],
    `Cannot start PostgreSQL: it ended before it took connections: ${lastLines(bytes.toString('utf8'), 5)}`,
    { details: { logFile } },
  )
}

async function sizeOf(file: string): Promise<number> {
  try {
    await using log = await open(file, 'r')
    return (await log.stat()).size
  } catch {
    return 0
  }
}
