import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { DemoCluster } from '../../src/cli/demo/demo-cluster.ts'
import type { Installation } from '../../src/postgres/installation.ts'
import { writePassFile } from '../../src/postgres/pass-file.ts'
import { programEnvironment } from '../../src/postgres/program-environment.ts'
import type { Sql } from '../../src/postgres/sql.ts'
import { runProgram } from '../../src/std/run-program.ts'
import { testInstallations } from './postgres.ts'

/** PostgreSQL's own benchmark as a client of a cluster: it finds the primary among the nodes as libpq does. */
export interface Pgbench {
  readonly program: string
  readonly connection: string
  readonly environment: Readonly<Record<string, string>>
}

const clients = 4

/** An installation that has pgbench; it works with servers of any newer major too. */
export async function findPgbench(): Promise<Installation | undefined> {
  return (await testInstallations()).find(({ tools }) => tools.pgbench !== undefined)
}

/** Points the pgbench of an installation at a cluster. The password goes by a file. */
export async function preparePgbench(installation: Installation, cluster: DemoCluster): Promise<Pgbench> {
  const program = installation.tools.pgbench
  const [target] = cluster.targets
  if (program === undefined || target === undefined) throw new Error('no pgbench, or no nodes')
  const passFile = join(cluster.directory, 'secrets', 'pgpass')
  await writePassFile(passFile, [
    { entry: { host: '*', port: '*' as const, database: '*', user: target.user }, password: target.password },
  ])
  const hosts = cluster.targets.map(({ host, port }) => `${host}:${port}`).join(',')
  const options = 'target_session_attrs=read-write&connect_timeout=2&application_name=pgbench'
  return {
    program,
    connection: `postgresql://${target.user}@${hosts}/${target.database}?${options}`,
    environment: programEnvironment(installation, { PGPASSFILE: passFile }),
  }
}

/** Fills the tables: 100 000 accounts for each unit of scale. */
export async function initializePgbench(pgbench: Pgbench, scale: number): Promise<void> {
  const options = ['--initialize', '--quiet', `--scale=${scale}`]
  await runProgram(pgbench.program, [...options, pgbench.connection], {
    environment: pgbench.environment,
    deadlineMs: 300_000,
  })
}

/** Clients that run transactions without a pause; when their primary goes away, they connect anew. */
export interface PgbenchLoad extends AsyncDisposable {
  /** How often the clients were started: once more each time their connections broke. */
  readonly starts: number
  stop(): Promise<void>
}

export function startPgbench(pgbench: Pgbench): PgbenchLoad {
  const state = { starts: 0, stopping: false }
  let child: ChildProcess | undefined
  const run = async (): Promise<void> => {
    while (!state.stopping) {
      state.starts += 1
      child = spawn(
        pgbench.program,
        ['--no-vacuum', `--client=${clients}`, '--jobs=2', '--time=3600', pgbench.connection],
        {
          env: { ...pgbench.environment },
          stdio: 'ignore',
        },
      )
      await new Promise((resolve, reject) => child?.once('close', resolve).once('error', reject))
      if (!state.stopping) await delay(100)
    }
  }
  const running = run()
  // Whoever stops the load hears of a failure to start it; before that it must not end the process.
  running.catch(() => undefined)
  const stop = async (): Promise<void> => {
    state.stopping = true
    child?.kill('SIGTERM')
    await running
  }
  return {
    get starts() {
      return state.starts
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/**
 * What holds after any number of whole transactions, and after no torn one: each adds the same amount to an account, a
 * teller and a branch, and notes it. Gives the number of transactions.
 */
export async function pgbenchTransactions(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ accounts: string; tellers: string; branches: string; noted: string; count: number }>(
    `select (select sum(abalance)::text from pgbench_accounts) as accounts,
            (select sum(tbalance)::text from pgbench_tellers) as tellers,
            (select sum(bbalance)::text from pgbench_branches) as branches,
            coalesce(sum(delta), 0)::text as noted, count(*)::int as count from pgbench_history`,
  )
  if (row === undefined) throw new Error('no answer')
  const { count, ...sums } = row
  if (new Set(Object.values(sums)).size !== 1) throw new Error(`torn transactions: ${JSON.stringify(sums)}`)
  return count
}
