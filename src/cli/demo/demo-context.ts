import { execFile } from 'node:child_process'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import type { Installation } from '../../postgres/installation.ts'
import { openReadWriteSql } from '../../postgres/read-write-connection.ts'
import { withSql, type Sql } from '../../postgres/sql.ts'
import type { Clock } from '../../std/clock.ts'
import { waitUntil } from '../../std/wait-until.ts'
import type { CheckList } from './check-list.ts'
import type { DemoCluster, DemoNode } from './demo-cluster.ts'

/** A cluster and the means to wait for it; all that looking at it takes. */
export interface ClusterAccess {
  readonly cluster: DemoCluster
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** What every chapter of the demo works with. */
export interface DemoContext extends ClusterAccess {
  readonly list: CheckList
  readonly random: () => number
  readonly installation: Installation
  /** Runs a shipped command on a node, as an operator would, with `--json`, and gives what it printed. */
  readonly command: (node: DemoNode, ...args: string[]) => Promise<unknown>
}

/** Waits at most this long for anything in the demo; what takes longer has failed. */
export const patienceMs = 45_000

export function shippedCommand(
  program: string,
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): DemoContext['command'] {
  return (node, ...args) =>
    new Promise((resolve, reject) => {
      const all = [program, ...args, '--config', node.configFile, '--json']
      const options = { env: environment, cwd: node.directory, signal, maxBuffer: 64 << 20 }
      execFile(process.execPath, all, options, (error, stdout, stderr) => {
        if (error === null) resolve(JSON.parse(stdout))
        else
          reject(new Error(`holdfast ${args[0]}: ${stderr.trim() || stdout.trim() || error.message}`, { cause: error }))
      })
    })
}

/** Waits until `look` gives a value, asking the primary over a connection made for each look. */
export function onPrimary<Value>(
  context: ClusterAccess,
  what: string,
  look: (sql: Sql, target: ConnectionTarget) => Promise<Value | undefined>,
): Promise<Value> {
  return waitUntil(
    what,
    async () => {
      await using sql = await openReadWriteSql(context.cluster.targets, {
        connectTimeoutMs: 1000,
        statementTimeoutMs: 10_000,
        signal: context.signal,
      })
      return await look(sql, sql.target)
    },
    { clock: context.clock, signal: context.signal, timeoutMs: patienceMs },
  )
}

export function onNode<Value>(node: DemoNode, look: (sql: Sql) => Promise<Value>): Promise<Value> {
  return withSql(node.target, { connectTimeoutMs: 1000, statementTimeoutMs: 10_000 }, look)
}

export async function primaryNode(context: ClusterAccess): Promise<DemoNode> {
  const port = await onPrimary(context, 'a primary', async (_, target) => target.port)
  const node = context.cluster.nodes.find((candidate) => candidate.port === port)
  if (node === undefined) throw new Error(`the primary on port ${port} is none of our nodes`)
  return node
}

/** Waits until the primary has two standbys that stream on their own slots and acknowledge commits. */
export function waitRedundant(context: ClusterAccess): Promise<{ slots: string[]; states: string[] }> {
  return onPrimary(context, 'two standbys that stream', async (sql) => {
    const rows = await sql.query<{ slot_name: string; sync_state: string }>(
      `select s.slot_name, r.sync_state from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid
       where r.state = 'streaming' and s.slot_type = 'physical' and r.sync_state = 'quorum' order by 1`,
    )
    if (rows.length < 2) return undefined
    return { slots: rows.map((row) => row.slot_name), states: rows.map((row) => row.sync_state) }
  })
}
