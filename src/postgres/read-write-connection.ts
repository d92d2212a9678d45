import { Fault } from '../std/fault.ts'
import { describeTarget } from './connection-target.ts'
import type { ConnectionTarget } from './connection-target.ts'
import { postgresFaults } from './faults.ts'
import { openSql } from './sql.ts'
import type { Sql, SqlOptions } from './sql.ts'

/**
 * Connects as libpq does with several hosts and `target_session_attrs=read-write`: the targets in their order, until one
 * takes writes. Fails with `postgres-unreachable`, naming what each one said, when none does.
 */
export async function openReadWriteSql(
  targets: readonly ConnectionTarget[],
  options: SqlOptions = {},
): Promise<Sql & { readonly target: ConnectionTarget }> {
  const answers: string[] = []
  for (const target of targets) {
    options.signal?.throwIfAborted()
    try {
      await using stack = new AsyncDisposableStack()
      const sql = stack.use(await openSql(target, options))
      const [row] = await sql.query<{ read_only: string }>(
        "select current_setting('transaction_read_only') as read_only",
      )
      if (row?.read_only === 'off') {
        stack.move()
        return Object.assign(sql, { target })
      }
      answers.push(`${describeTarget(target)} is read-only`)
    } catch (error) {
      options.signal?.throwIfAborted()
      answers.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Fault(
    postgresFaults['postgres-unreachable'],
    `Cannot connect for writing: no host accepts writes (${answers.join('; ')})`,
  )
}
