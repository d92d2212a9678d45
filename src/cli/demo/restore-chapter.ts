import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { startServer } from '../../postgres/server.ts'
import { withSql, type Sql } from '../../postgres/sql.ts'
import { parseLsn } from '../../wal/core/lsn.ts'
import { repositoryHolds } from './backup-chapter.ts'
import type { DemoNode } from './demo-cluster.ts'
import { onNode, primaryNode, type DemoContext } from './demo-context.ts'
import { formatMs, type RestoreRecord } from './report.ts'
import { workloadTable } from './workload.ts'

interface RestoreDocument {
  readonly restored: { readonly backup: string }
}

const patients = 1000

/** Rows are deleted by mistake; a copy restored beside the cluster to just before that moment has them. */
export async function restoreChapter(context: DemoContext): Promise<RestoreRecord | undefined> {
  const { list, clock, cluster, command } = context
  list.chapter('5 Disaster two: rows deleted by mistake')
  const mistake = await list.required(`${patients} rows are deleted at a known moment`, async () => {
    const moment = await makeMistake(context)
    return { figure: `just after ${moment.target}`, ...moment }
  })
  await list.required('the repository has the WAL of that moment and after', async () => {
    await repositoryHolds(context, mistake.lsn)
    return { figure: 'complete' }
  })
  const directory = join(cluster.directory, 'restored')
  const startedAt = clock.monotonic()
  const restored = await list.required('restored beside the running cluster to just before it', async () => {
    const [node] = cluster.nodes as readonly [DemoNode]
    const { restored } = (await command(
      node,
      'restore',
      '--to',
      directory,
      '--target-time',
      mistake.target,
    )) as RestoreDocument
    const tookMs = clock.monotonic() - startedAt
    return { figure: `from ${restored.backup} in ${formatMs(tookMs)}`, backup: restored.backup, tookMs }
  })
  const found = await list.check('the deleted rows are back, and no row from after that moment', async () => {
    const rows = await withRestoredCopy(context, directory, (sql) => countRows(sql, mistake.target))
    const figure = `${rows.back} of ${patients} rows back, ${rows.after} rows from after, ${rows.before} of the workload from before`
    if (rows.back !== patients || rows.after !== 0 || rows.before === 0) throw new Error(figure)
    return { figure, ...rows }
  })
  return {
    target: mistake.target,
    backup: restored.backup,
    rowsBack: found?.back ?? 0,
    rowsAfterTarget: found?.after ?? -1,
    tookMs: restored.tookMs,
  }
}

/** The moment just before the mistake in PostgreSQL's own clock, and where the WAL stood some time after it. */
async function makeMistake(context: DemoContext): Promise<{ readonly target: string; readonly lsn: bigint }> {
  const primary = await primaryNode(context)
  return await onNode(primary, async (sql) => {
    await sql.query('create table patients (id int primary key, name text not null)')
    await sql.query(`insert into patients select n, 'patient ' || n from generate_series(1, ${patients}) n`)
    await context.clock.sleep(200, { signal: context.signal })
    const [moment] = await sql.query<{ now: string }>(
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
    )
    await context.clock.sleep(200, { signal: context.signal })
    await sql.query('delete from patients')
    await sql.query('create table after_the_mistake as select 1 as one')
    await context.clock.sleep(200, { signal: context.signal })
    const [position] = await sql.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')
    const lsn = parseLsn(position?.lsn ?? '')
    if (moment === undefined || lsn === undefined) throw new Error('the primary told no time or WAL position')
    return { target: moment.now, lsn }
  })
}

async function countRows(
  sql: Sql,
  target: string,
): Promise<{ readonly back: number; readonly after: number; readonly before: number }> {
  const [row] = await sql.query<{ back: number; after: number; before: number }>(
    `select (select count(*)::int from patients) as back,
            (select count(*)::int from ${workloadTable} where at > $1::timestamptz)
              + (select count(*)::int from pg_class where relname = 'after_the_mistake') as after,
            (select count(*)::int from ${workloadTable} where at <= $1::timestamptz) as before`,
    [target],
  )
  if (row === undefined) throw new Error('no answer')
  return row
}

/** Starts the restored copy, which reaches nobody, for as long as `look` takes. */
async function withRestoredCopy<Result>(
  context: DemoContext,
  directory: string,
  look: (sql: Sql) => Promise<Result>,
): Promise<Result> {
  const sockets = await mkdtemp(join(tmpdir(), 'hf-d-'))
  try {
    await using _server = await startServer(context.installation, directory, {
      logFile: join(sockets, 'postgres.log'),
      parameters: { unix_socket_directories: sockets },
      signal: context.signal,
    })
    const [first] = context.cluster.targets as readonly [ConnectionTarget]
    return await withSql({ ...first, host: sockets, port: 5432 }, { signal: context.signal }, look)
  } finally {
    await rm(sockets, { recursive: true, force: true })
  }
}
