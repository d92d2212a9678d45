import { join } from 'node:path'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import type { PlannedRestore } from '../../../src/restore/plan-from-repository.ts'
import type { RestoreRequest } from '../../../src/restore/core/plan.ts'
import { recover } from '../../../src/restore/recover.ts'
import type { RecoverOptions, Recovered } from '../../../src/restore/recover.ts'
import { runRestore } from '../../../src/restore/run-restore.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { superuser } from '../../support/postgres.ts'
import { cluster } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'

export async function backUp(scene: ArchiveScene): Promise<Commit> {
  const { repository, server } = scene
  const { commit } = await takeBackup(
    { repository, cluster, target: server.target, dataDirectory: server.dataDirectory },
    { clock: systemClock, workers: 2 },
  )
  return commit
}

export interface RestoreOptions extends Partial<Omit<RestoreRequest, 'target'>> {
  readonly directory?: string
  readonly recovery?: Partial<RecoverOptions>
  readonly replan?: (planned: PlannedRestore) => PlannedRestore
}

export async function plan(
  scene: ArchiveScene,
  target: RestoreRequest['target'],
  options: RestoreOptions = {},
): Promise<PlannedRestore> {
  const { timeline = 'latest', backupId } = options
  return planFromRepository(scene.repository, cluster, { target, timeline, backupId })
}

/** Plans, lays out and recovers into a directory beside the server. */
export async function restore(
  scene: ArchiveScene,
  target: RestoreRequest['target'],
  options: RestoreOptions = {},
): Promise<Recovered> {
  const planned = await plan(scene, target, options)
  const dataDirectory = join(scene.server.directory, options.directory ?? 'restored')
  await runRestore(scene.repository, planned, { targetDirectory: dataDirectory, workers: 2, clock: systemClock })
  return recover(scene.repository, planned, {
    installation: scene.server.installation,
    dataDirectory,
    action: 'promote',
    superuser,
    clock: systemClock,
    ...options.recovery,
  })
}

/** The values of `x` in table `t` of a restored server, in order. */
export async function rowsOf(recovered: Recovered): Promise<readonly string[]> {
  if (recovered.connection === undefined) throw new Error('the restored server does not run')
  return withSql(recovered.connection, {}, async (sql) => {
    const rows = await sql.query<{ x: string }>('SELECT x::text AS x FROM t ORDER BY t.x')
    return rows.map(({ x }) => x)
  })
}
