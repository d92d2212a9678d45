import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { TimelineStretch } from '../../wal/core/timeline-history.ts'

/**
 * Which backups stay. Every rule only keeps; a backup goes when no rule keeps it. What `days` and `count` keep stays
 * together with the WAL after it, so that every moment from there on can be restored; what the calendar or a hold keeps
 * stays as it is: with the WAL it needs itself, and no more.
 */
export interface RetentionPolicy {
  /** Every moment of the last so many days can be restored; 0 for no such window. */
  readonly days: number
  /** So many of the newest stay, however old they are. */
  readonly count: number
  /** The newest backup of each of the last so many days, weeks, months and years that have one; by UTC. */
  readonly daily: number
  readonly weekly: number
  readonly monthly: number
  readonly yearly: number
}

export interface RetentionBackup {
  readonly id: string
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly stopLsn: Lsn
  readonly stoppedAt: EpochMs
  /** The repository has the WAL that it needs itself. */
  readonly restorable: boolean
  /** It has pages that were damaged on the server. */
  readonly damaged?: boolean
}

export interface RetentionDecision {
  readonly backup: string
  readonly keep: boolean
  /** WAL that stays because of it: all from its start on, or what lies between its start and its end. */
  readonly wal: 'onwards' | 'own' | 'none'
  /** Why it stays, each rule once; or why it goes. */
  readonly because: readonly string[]
}

export interface RetentionQuestion {
  readonly policy: RetentionPolicy
  readonly backups: readonly RetentionBackup[]
  /** The way to the newest timeline; undefined when its history is not known. */
  readonly latestPath: readonly TimelineStretch[] | undefined
  /** Reasons of holds, by backup. */
  readonly holds: ReadonlyMap<string, string>
  /** The running backup that builds on a backup, by the latter. */
  readonly parents: ReadonlyMap<string, string>
  /** Of a copy: what the first repository lists. */
  readonly first: ReadonlySet<string>
  readonly now: EpochMs
}

const dayMs = 86_400_000

/** Decides about every backup, in the order in which they ended. */
export function decideRetention(question: RetentionQuestion): readonly RetentionDecision[] {
  const { policy, holds, parents, now, latestPath } = question
  const backups = question.backups.toSorted((a, b) => a.stoppedAt - b.stoppedAt || (a.id < b.id ? -1 : 1))
  const restorable = backups.filter((backup) => backup.restorable)
  // Which is newer is said by the WAL, as for a restore: the clock may have stepped.
  const placed = restorable.toSorted(byPlaceInWal)
  const newest = backups.toSorted(byPlaceInWal).at(-1)
  const onwards = new Reasons()
  const own = new Reasons()
  // Where the newest timeline has no backup yet, the newest backup of all is what there is.
  onwards.add(newestOn(placed, latestPath), 'the newest backup that can be restored')
  onwards.add(placed.at(-1), 'the newest backup that can be restored')
  if (newest?.restorable === false) onwards.add(newest, 'the newest backup')
  // What the server has damaged since is good nowhere else.
  if (placed.at(-1)?.damaged === true) {
    own.add(
      placed.findLast(({ damaged }) => damaged !== true),
      'the last backup without damaged pages',
    )
  }
  if (policy.days > 0) {
    const begin = now - policy.days * dayMs
    const days = describeCount(policy.days, 'day')
    for (const backup of backups) if (backup.stoppedAt >= begin) onwards.add(backup, `within ${days}`)
    const before = placed.filter((backup) => backup.stoppedAt < begin)
    onwards.add(newestOn(before, latestPath), `the window of ${days} begins in it`)
    onwards.add(before.at(-1), `the window of ${days} begins in it`)
  }
  if (policy.count > 0) {
    for (const backup of placed.slice(-policy.count)) onwards.add(backup, `one of the newest ${policy.count}`)
  }
  for (const { name, amount, periodOf } of calendarRules(policy)) {
    const latest = new Map(restorable.map((backup) => [periodOf(backup.stoppedAt), backup]))
    for (const [period, backup] of [...latest].slice(-amount)) {
      own.add(backup, `the newest of ${name} ${period}`)
    }
  }
  for (const backup of backups) {
    const reason = holds.get(backup.id)
    if (reason !== undefined) own.add(backup, reason === '' ? 'held' : `held: ${reason}`)
    const child = parents.get(backup.id)
    if (child !== undefined) own.add(backup, `backup ${child}, which is being taken, builds on it`)
    if (question.first.has(backup.id)) own.add(backup, 'the first repository has it')
  }
  return backups.map((backup) => {
    const because = [...onwards.of(backup), ...own.of(backup)]
    if (because.length === 0) return { backup: backup.id, keep: false, wal: 'none', because: [whyItGoes(backup, now)] }
    return { backup: backup.id, keep: true, wal: onwards.of(backup).length > 0 ? 'onwards' : 'own', because }
  })
}

function byPlaceInWal(a: RetentionBackup, b: RetentionBackup): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline
  return a.stopLsn < b.stopLsn ? -1 : a.stopLsn > b.stopLsn ? 1 : 0
}

/** The reasons collected for each backup, each once. */
class Reasons {
  readonly #found = new Map<string, Set<string>>()

  add(backup: RetentionBackup | undefined, reason: string): void {
    if (backup === undefined) return
    const reasons = this.#found.get(backup.id)
    if (reasons === undefined) this.#found.set(backup.id, new Set([reason]))
    else reasons.add(reason)
  }

  of(backup: RetentionBackup): readonly string[] {
    return [...(this.#found.get(backup.id) ?? [])]
  }
}

function newestOn(
  backups: readonly RetentionBackup[],
  path: readonly TimelineStretch[] | undefined,
): RetentionBackup | undefined {
  return path === undefined ? undefined : backups.findLast((backup) => liesOn(backup, path))
}

/** Whether recovery that starts from a backup can follow a path: the backup ended before its timeline was left. */
export function liesOn(
  backup: Pick<RetentionBackup, 'timeline' | 'startLsn' | 'stopLsn'>,
  path: readonly TimelineStretch[],
): boolean {
  const stretch = path.find(({ timeline }) => timeline === backup.timeline)
  if (stretch === undefined || backup.startLsn < stretch.startLsn) return false
  return stretch.endLsn === undefined || backup.stopLsn <= stretch.endLsn
}

export interface CalendarRule {
  readonly name: string
  readonly amount: number
  readonly periodOf: (time: EpochMs) => string
}

/** The rules of a policy that go by days, weeks, months and years. */
export function calendarRules({ daily, weekly, monthly, yearly }: RetentionPolicy): readonly CalendarRule[] {
  const date = (time: number): string => new Date(time).toISOString().slice(0, 10)
  // 1970-01-01 was a Thursday: three days after a Monday.
  const monday = (time: number): number => time - ((Math.floor(time / dayMs) + 3) % 7) * dayMs
  const rules: readonly CalendarRule[] = [
    { name: 'the day', amount: daily, periodOf: date },
    { name: 'the week from', amount: weekly, periodOf: (time) => date(monday(time)) },
    { name: 'the month', amount: monthly, periodOf: (time) => date(time).slice(0, 7) },
    { name: 'the year', amount: yearly, periodOf: (time) => date(time).slice(0, 4) },
  ]
  return rules.filter(({ amount }) => amount > 0)
}

function whyItGoes(backup: RetentionBackup, now: EpochMs): string {
  const days = Math.floor((now - backup.stoppedAt) / dayMs)
  const age = days < 1 ? 'less than a day ago' : `${describeCount(days, 'day')} ago`
  const damage = backup.restorable ? '' : ', and WAL that it needs is missing'
  return `ended ${age}, and no rule keeps it${damage}`
}

export function describeCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
