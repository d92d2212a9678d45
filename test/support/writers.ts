import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import { openReadWriteSql } from '../../src/postgres/read-write-connection.ts'

/**
 * Clients that insert numbered rows wherever writes are taken, and remember outside the database which ones were
 * acknowledged. What they remember has to be there afterwards; what they do not may be there or not.
 */
export interface Writers extends AsyncDisposable {
  readonly acknowledged: readonly number[]
  /** The longest time without any acknowledgement since the last call of {@link Writers.forgetGaps}. */
  readonly longestGapMs: number
  forgetGaps(): void
  /** Acknowledged rows that the cluster does not have. */
  lost(): Promise<readonly number[]>
  stop(): Promise<void>
}

const pauseMs = 5
const statementTimeoutMs = 20_000

export async function startWriters(targets: readonly ConnectionTarget[], count: number): Promise<Writers> {
  await using first = await openReadWriteSql(targets)
  await first.query('create table ledger (number int primary key)')
  const stopping = new AbortController()
  const acknowledged: number[] = []
  let next = 1
  let lastAt = performance.now()
  let longestGapMs = 0

  async function write(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        // A write whose server froze must not hang the writer; its row is then not acknowledged.
        await using sql = await openReadWriteSql(targets, { connectTimeoutMs: 500, signal: stopping.signal })
        while (!stopping.signal.aborted) {
          const number = next
          next += 1
          const late = delay(statementTimeoutMs, 'late' as const, { ref: false })
          const outcome = await Promise.race([sql.query('insert into ledger values ($1)', [number]), late])
          if (outcome === 'late') break
          acknowledged.push(number)
          const now = performance.now()
          longestGapMs = Math.max(longestGapMs, now - lastAt)
          lastAt = now
          await delay(pauseMs)
        }
      } catch {
        await delay(pauseMs)
      }
    }
  }

  const running = Array.from({ length: count }, write)
  const stop = async (): Promise<void> => {
    stopping.abort()
    await Promise.all(running)
  }
  return {
    acknowledged,
    get longestGapMs() {
      return longestGapMs
    },
    forgetGaps: () => {
      longestGapMs = 0
      lastAt = performance.now()
    },
    lost: async () => {
      const known = [...acknowledged]
      await using sql = await openReadWriteSql(targets)
      const rows = await sql.query<{ number: number }>('select number from ledger')
      const present = new Set(rows.map((row) => row.number))
      return known.filter((number) => !present.has(number))
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
