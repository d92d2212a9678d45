import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { withSql, type Sql } from '../../postgres/sql.ts'
import type { RecoveryTarget } from '../../restore/core/target.ts'
import { describeRecoveryTarget } from '../../restore/core/target.ts'
import { isFault } from '../../std/fault.ts'
import { formatLsn, parseLsn } from '../../wal/core/lsn.ts'
import type { CommitPair } from './core/wal-facts.ts'
import type { Seen } from './examination.ts'

/** A moment between the two commits, where their clock gives one; else the position of the second, exclusively. */
export function targetBetween({ moment, second }: CommitPair): RecoveryTarget {
  if (moment !== undefined) return { kind: 'time', epochMicros: moment, inclusive: true }
  return { kind: 'lsn', lsn: second.lsn, inclusive: false }
}

/**
 * The proof that recovery ends where it is told to: on a copy that is paused there, the first of two commits that follow
 * each other in the WAL is there, the second is not, and replay has ended between them.
 */
export async function provePointInTime(
  connection: ConnectionTarget,
  pair: CommitPair,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<Seen> {
  const { first, second } = pair
  return await withSql(connection, { ...options, statementTimeoutMs: 60_000 }, async (sql) => {
    const [state] = await sql.query<{ recovering: boolean; lsn: string; next: string }>(
      `SELECT pg_is_in_recovery() AS recovering, pg_last_wal_replay_lsn()::text AS lsn,
       pg_snapshot_xmax(pg_current_snapshot())::text AS next`,
    )
    const lsn = parseLsn(state?.lsn ?? '')
    const next = BigInt(state?.next ?? 0)
    const there = await isCommitted(sql, first.transaction, next)
    const beyond = await isCommitted(sql, second.transaction, next)
    const between = lsn !== undefined && lsn > first.lsn && lsn <= second.lsn
    const target = describeRecoveryTarget(targetBetween(pair))
    const where = `recovery to ${target} ended at ${lsn === undefined ? '?' : formatLsn(lsn)}`
    const seen = `transaction ${first.transaction} ${there ? 'is' : 'is NOT'} there and ${second.transaction}, the next, ${beyond ? 'IS as well' : 'is not'}`
    const good = state?.recovering === true && between && there && !beyond
    return { outcome: good ? 'passed' : 'failed', text: `${where}: ${seen}` }
  })
}

/** By the commit log of the copy. A transaction that it has not heard of is not there. */
async function isCommitted(sql: Sql, transaction: number, next: bigint): Promise<boolean> {
  try {
    const [row] = await sql.query<{ status: string | null }>('SELECT pg_xact_status($1::text::xid8) AS status', [
      String(withEpoch(transaction, next)),
    ])
    return row?.status === 'committed'
  } catch (error) {
    // "… is in the future".
    if (isFault(error) && error.details['sqlState'] === '22023') return false
    throw error
  }
}

/** WAL has the lower half of a transaction's number; the other is that of the next number, or one less or more. */
function withEpoch(transaction: number, next: bigint): bigint {
  const half = 1n << 32n
  const candidate = (next & ~(half - 1n)) | BigInt(transaction)
  if (candidate > next + half / 2n && candidate >= half) return candidate - half
  if (candidate + half / 2n < next) return candidate + half
  return candidate
}
