import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { initializeDataDirectory } from '../../postgres/initialize.ts'
import { readControlFile } from '../../postgres/control-file.ts'
import { ensureReplicationRole } from '../../postgres/roles.ts'
import { startServer } from '../../postgres/server.ts'
import { withSql } from '../../postgres/sql.ts'
import { writeSignalFiles } from '../../postgres/data-directory.ts'
import type { AgentContext } from './agent-context.ts'
import { localTarget } from './local-target.ts'

/** Noted while the data directory is being made: what is in it then is nothing yet. */
export const pendingBirth = 'pending'

/**
 * Creates the database cluster of a new Holdfast cluster, with the replication role and Holdfast's own tables, and leaves
 * it stopped. It listens to nobody but us meanwhile. A crash leaves either nothing that counts as a data directory or one
 * whose identifier is noted as unborn: it may be replaced by a clone when another node founds the cluster instead.
 */
export async function bootstrapData(context: AgentContext, signal: AbortSignal): Promise<void> {
  const { options, configuration } = context
  const { installation, dataDirectory, superuser, replication } = options
  if (context.unborn() === pendingBirth) await clearDirectory(dataDirectory)
  await context.setUnborn(pendingBirth)
  await initializeDataDirectory(installation, dataDirectory, {
    superuser: superuser.name,
    password: superuser.password,
    walSegmentBytes: options.walSegmentBytes,
    signal,
  })
  await configuration.write({ upstream: null, sync: { names: [], count: 0 } })
  await configuration.writeAuthentication()
  await writeSignalFiles(dataDirectory, 'primary')
  await using server = await startServer(installation, dataDirectory, {
    logFile: join(options.stateDirectory, 'postgres.log'),
    parameters: { listen_addresses: '' },
    signal,
  })
  await withSql(localTarget(options), { signal, statementTimeoutMs: 30_000 }, async (sql) => {
    await ensureReplicationRole(sql, replication.name, replication.password)
    await sql.query('create schema if not exists holdfast')
    await sql.query(`create table if not exists holdfast.term (
      term bigint primary key, node text not null, timeline int not null,
      first_at timestamptz not null, last_at timestamptz not null, proofs bigint not null)`)
    await sql.query('create table if not exists holdfast.gate (at timestamptz not null)')
  })
  await server.stop('fast', { timeoutMs: 60_000 })
  const { systemIdentifier } = await readControlFile(dataDirectory)
  await context.setUnborn(String(systemIdentifier))
  context.events.note('bootstrapped', { systemIdentifier: String(systemIdentifier) })
}

/** Empties a directory that may be a mount point. */
export async function clearDirectory(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  for (const name of names) await rm(join(directory, name), { recursive: true, force: true })
}
