import { calendarRules, describeCount } from '../../../repository/core/retention.ts'
import type { RetentionPolicy } from '../../../repository/core/retention.ts'
import type { EpochMs } from '../../../std/clock.ts'
import type { DumpRecord } from './dump-record.ts'

export type DatedDump = Pick<DumpRecord, 'file' | 'database' | 'endedAt'>

export interface DumpVerdict<Dump extends DatedDump = DumpRecord> {
  readonly dump: Dump
  readonly keep: boolean
  /** Why it stays, each rule once; or why it goes. */
  readonly because: readonly string[]
}

const dayMs = 86_400_000

/**
 * Which dumps stay. The rules are those of backups, for each database by itself, so that one that is dumped rarely does not
 * lose its dumps to one that is dumped often; the dumps of the roles count as those of one more database.
 */
export function decideDumpRetention<Dump extends DatedDump>(
  dumps: readonly Dump[],
  { policy, now }: { readonly policy: RetentionPolicy; readonly now: EpochMs },
): readonly DumpVerdict<Dump>[] {
  const placed = dumps.toSorted((a, b) => a.endedAt - b.endedAt || (a.file < b.file ? -1 : 1))
  const reasons = new Map<Dump, string[]>()
  const keep = (dump: Dump, reason: string): void => void reasons.set(dump, [...(reasons.get(dump) ?? []), reason])
  for (const dump of placed) {
    if (policy.days > 0 && dump.endedAt >= now - policy.days * dayMs) {
      keep(dump, `within ${describeCount(policy.days, 'day')}`)
    }
  }
  const series = Map.groupBy(placed, ({ database }) => database)
  for (const [database, own] of series) {
    const whose = database === null ? 'of the roles' : `of ${database}`
    if (policy.count > 0)
      for (const dump of own.slice(-policy.count)) keep(dump, `one of the newest ${policy.count} ${whose}`)
    for (const { name, amount, periodOf } of calendarRules(policy)) {
      const latest = new Map(own.map((dump) => [periodOf(dump.endedAt), dump]))
      for (const [period, dump] of [...latest].slice(-amount)) keep(dump, `the newest ${whose} of ${name} ${period}`)
    }
  }
  return placed.map((dump) => {
    const because = reasons.get(dump)
    if (because !== undefined) return { dump, keep: true, because }
    const age = describeCount(Math.max(0, Math.floor((now - dump.endedAt) / dayMs)), 'day')
    return { dump, keep: false, because: [`ended ${age} ago, and no rule keeps it`] }
  })
}
