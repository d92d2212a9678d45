import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import { openSql, type Sql } from '../../src/postgres/sql.ts'
import { systemClock } from '../../src/std/clock.ts'

/** A node that said it takes writes, between asking and hearing the answer. */
export interface PrimarySighting {
  readonly port: number
  readonly timeline: string
  readonly askedAt: number
  readonly heardAt: number
}

/**
 * Asks every node again and again whether it takes writes, over a connection kept open, and finds two that do at the same
 * time: a node asked after another had already said so on a newer timeline.
 */
export interface PrimaryWatch extends AsyncDisposable {
  readonly asked: number
  readonly sightings: number
  /** Pairs that were primaries at the same time: [the newer, the stale one]. */
  readonly violations: readonly (readonly [PrimarySighting, PrimarySighting])[]
}

export function watchPrimaries(targets: readonly ConnectionTarget[], everyMs: number): PrimaryWatch {
  const stopping = new AbortController()
  const violations: [PrimarySighting, PrimarySighting][] = []
  const newest = new Map<string, PrimarySighting>()
  const watch = { asked: 0, sightings: 0, violations }

  function note(sighting: PrimarySighting): void {
    watch.sightings += 1
    for (const [timeline, other] of newest) {
      if (other.port === sighting.port) continue
      if (timeline >= sighting.timeline && other.heardAt < sighting.askedAt) violations.push([other, sighting])
    }
    // The first sighting on a timeline is the earliest proof that it takes writes.
    if (!newest.has(sighting.timeline)) newest.set(sighting.timeline, sighting)
  }

  async function ask(sql: Sql, port: number): Promise<void> {
    const askedAt = systemClock.monotonic()
    const [row] = await sql.query<{ timeline: string | null }>(
      'select case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline',
    )
    watch.asked += 1
    if (typeof row?.timeline === 'string')
      note({ port, timeline: row.timeline, askedAt, heardAt: systemClock.monotonic() })
  }

  async function follow(target: ConnectionTarget): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await using sql = await openSql(target, { connectTimeoutMs: 500, statementTimeoutMs: 2000 })
        while (!stopping.signal.aborted) {
          await ask(sql, target.port)
          await delay(everyMs)
        }
      } catch {
        await delay(everyMs)
      }
    }
  }

  const followers = targets.map(follow)
  return Object.assign(watch, {
    [Symbol.asyncDispose]: async () => {
      stopping.abort()
      await Promise.all(followers)
    },
  })
}
