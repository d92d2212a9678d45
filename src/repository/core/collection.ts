import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { timelinePath, type TimelineHistory } from '../../wal/core/timeline-history.ts'
import type { Commit } from './commit.ts'
import type { TailName } from './object-names.ts'
import { decideRetention, type RetentionDecision, type RetentionPolicy } from './retention.ts'
import type { SessionNote } from './session-note.ts'
import { walCoverage } from './wal-coverage.ts'
import { isGapNeeded, isNeeded, neededWal, type WalRange } from './wal-needs.ts'

/** What a repository holds of one cluster, as far as collecting depends on it. */
export interface CollectionView {
  readonly commits: readonly Commit[]
  readonly sessions: readonly SessionNote[]
  /** Of these, backups that can never be committed: what they have stored is for the next backup to take over. */
  readonly interrupted: ReadonlySet<string>
  /** Reasons of holds, by backup. */
  readonly holds: ReadonlyMap<string, string>
  readonly packs: readonly BackupObject[]
  readonly manifests: readonly BackupObject[]
  readonly segments: readonly (WalObject & { readonly name: string })[]
  readonly tails: readonly (WalObject & TailName)[]
  /** Partial segments and labels of backups, as `archive_command` gave them; nothing needs them. */
  readonly oddFiles: readonly WalObject[]
  /** Records of lost WAL. */
  readonly gaps: readonly GapObject[]
  /** Of every timeline that is known to be one; without those whose history file is missing. */
  readonly histories: readonly TimelineHistory[]
  readonly timelines: readonly TimelineId[]
  readonly walSegmentBytes: number
  /** Of a copy: what the first repository has. Nothing of that goes, whatever the rules of the copy say. */
  readonly first?: FirstRepository | undefined
}

export interface FirstRepository {
  /** The listed ones. */
  readonly backups: ReadonlySet<string>
  /** Every object of the cluster. */
  readonly keys: ReadonlySet<string>
}

interface StoredBytes {
  readonly key: string
  readonly sizeBytes: number
}

export interface BackupObject extends StoredBytes {
  readonly backup: string
}

export interface WalObject extends StoredBytes {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
}

export interface GapObject extends StoredBytes, TailName {}

export type RemovalKind = 'manifest' | 'pack' | 'segment' | 'tail' | 'gap'

export interface Removal extends StoredBytes {
  readonly kind: RemovalKind
  readonly because: string
}

export interface BackupVerdict extends RetentionDecision {
  readonly commit: Commit
}

export interface CollectionPlan {
  /** Every listed backup, in the order in which they ended. */
  readonly verdicts: readonly BackupVerdict[]
  /** Backups that were begun so long ago that they are taken for dead. */
  readonly deadSessions: readonly string[]
  /** Backups that are being taken. */
  readonly liveSessions: readonly string[]
  /** Backups that are not, whose packs the next backup may take over. */
  readonly interruptedSessions: readonly string[]
  /** Sessions of backups that are committed: only the note itself is left to be removed. */
  readonly endedSessions: readonly string[]
  /** Everything that goes besides the commits of backups and the sessions. */
  readonly removals: readonly Removal[]
  /** The WAL among it that no longer belongs to anything, joined; without tails whose segment is stored. */
  readonly walRanges: readonly (WalRange & { readonly endLsn: Lsn })[]
  readonly keptWal: { readonly count: number; readonly sizeBytes: number }
  readonly keptPacks: { readonly count: number; readonly sizeBytes: number }
}

/**
 * A backup whose session is older is taken for dead. If it is not, nothing breaks: it cannot be committed any more, and
 * says so.
 */
export const deadSessionMs: number = 3 * 86_400_000

/**
 * Decides what goes and what stays. With `agreed`, a plan made before that was announced, nothing goes that was not to go
 * then: a backup that runs at the same time has looked at the announcement.
 */
export function planCollection(
  view: CollectionView,
  {
    policy,
    now,
    agreed,
  }: { readonly policy: RetentionPolicy; readonly now: EpochMs; readonly agreed?: CollectionPlan },
): CollectionPlan {
  const listed = new Set(view.commits.map(({ facts }) => facts.backup))
  const open = view.sessions.filter(({ backup }) => !listed.has(backup))
  const mayDie = (backup: string): boolean => agreed?.deadSessions.includes(backup) ?? true
  const comes = (backup: string): boolean => view.first?.backups.has(backup) ?? false
  // A clock that was wrong makes a session too old, or lets it begin in the future; neither lasts for ever.
  const isOld = ({ beganAt }: SessionNote): boolean => Math.abs(now - beganAt) > deadSessionMs
  const inUse = new Set(open.filter((session) => !isOld(session)).flatMap(({ takesOver }) => takesOver))
  const mayGo = ({ backup }: SessionNote): boolean => mayDie(backup) && !inUse.has(backup) && !comes(backup)
  const dead = open.filter((session) => isOld(session) && mayGo(session))
  const undead = open.filter((session) => !dead.includes(session))
  const live = undead.filter(({ backup }) => !view.interrupted.has(backup))
  const restorable = new Set(view.commits.filter((commit) => isRestorable(view, commit)))
  const verdicts = judgeBackups(view, { policy, now, live, restorable, agreed })
  // Which WAL a backup needs that is being taken, only its end will tell.
  const mayRemove = restorable.size > 0 && live.every(({ copy }) => copy !== null)
  const wal = planWal(view, { verdicts, live, mayRemove, agreed })
  const packs = planPacks(view, { verdicts, undead, agreed })
  return {
    verdicts,
    deadSessions: dead.map(({ backup }) => backup),
    liveSessions: live.map(({ backup }) => backup),
    interruptedSessions: undead.map(({ backup }) => backup).filter((backup) => view.interrupted.has(backup)),
    endedSessions: view.sessions.map(({ backup }) => backup).filter((backup) => listed.has(backup)),
    removals: [...packs.removals, ...wal.removals, ...wal.gaps],
    walRanges: wal.ranges,
    keptWal: total([...view.segments, ...view.tails, ...view.oddFiles], wal.removals),
    keptPacks: total([...view.manifests, ...view.packs], packs.removals),
  }
}

/** True when there is nothing to do. */
export function isEmptyPlan({ verdicts, deadSessions, endedSessions, removals }: CollectionPlan): boolean {
  const goes = verdicts.some(({ keep }) => !keep)
  return !goes && deadSessions.length === 0 && endedSessions.length === 0 && removals.length === 0
}

function judgeBackups(
  view: CollectionView,
  options: {
    readonly policy: RetentionPolicy
    readonly now: EpochMs
    readonly live: readonly SessionNote[]
    readonly restorable: ReadonlySet<Commit>
    readonly agreed: CollectionPlan | undefined
  },
): readonly BackupVerdict[] {
  const commits = new Map(view.commits.map((commit) => [commit.facts.backup, commit]))
  const latest = Math.max(0, ...view.timelines)
  const history = view.histories.find(({ timeline }) => timeline === latest)
  const decisions = decideRetention({
    policy: options.policy,
    backups: view.commits.map((commit) => {
      const { backup: id, timeline, startLsn, stopLsn, stoppedAt } = commit.facts
      const damaged = commit.facts.damagedPages.length > 0
      return { id, timeline, startLsn, stopLsn, stoppedAt, restorable: options.restorable.has(commit), damaged }
    }),
    latestPath: history === undefined ? undefined : timelinePath(history),
    holds: view.holds,
    first: view.first?.backups ?? new Set(),
    parents: new Map(
      options.live.flatMap(({ backup, parent }) => (parent === null ? [] : [[parent, backup] as const])),
    ),
    now: options.now,
  })
  const mayGo = (backup: string): boolean =>
    options.agreed?.verdicts.some((verdict) => verdict.backup === backup && !verdict.keep) ?? true
  return decisions.map((decision): BackupVerdict => {
    const commit = commits.get(decision.backup) as Commit
    if (decision.keep || mayGo(decision.backup)) return { ...decision, commit }
    return { ...decision, commit, keep: true, wal: 'onwards', because: ['it came to go only now: the next time'] }
  })
}

/** The WAL between start and end of the backup is there without a hole. */
function isRestorable(view: CollectionView, { facts }: Commit): boolean {
  const inventory = { segments: view.segments, tails: view.tails, histories: [] }
  return walCoverage(inventory, facts).ranges.some(
    ({ startLsn, endLsn }) => startLsn <= facts.startLsn && endLsn >= facts.stopLsn,
  )
}

function planPacks(
  view: CollectionView,
  {
    verdicts,
    undead,
    agreed,
  }: {
    readonly verdicts: readonly BackupVerdict[]
    readonly undead: readonly SessionNote[]
    readonly agreed: CollectionPlan | undefined
  },
): { readonly removals: readonly Removal[] } {
  const referenced = new Set(undead.flatMap(({ copy }) => copy?.packs ?? []))
  const announced = agreedKeys(agreed)
  for (const { keep, commit } of verdicts) {
    if (!keep) continue
    referenced.add(commit.manifest.key)
    for (const pack of commit.facts.packs) referenced.add(pack.key)
  }
  const running = new Set(undead.flatMap(({ backup, takesOver }) => [backup, ...takesOver]))
  const going = new Set(verdicts.map(({ backup }) => backup))
  const removal = (kind: 'manifest' | 'pack', { key, sizeBytes, backup }: BackupObject): Removal => {
    const whose = going.has(backup) ? 'of a backup that goes' : 'of no listed backup'
    return { kind, key, sizeBytes, because: kind === 'pack' ? `${whose}, and none that stays uses it` : whose }
  }
  const unused = ({ key, backup }: BackupObject): boolean =>
    !referenced.has(key) && !running.has(backup) && !isInFirst(view, key) && (announced?.has(key) ?? true)
  return {
    removals: [
      ...view.manifests.filter(unused).map((object) => removal('manifest', object)),
      ...view.packs.filter(unused).map((object) => removal('pack', object)),
    ],
  }
}

interface WalPlan {
  readonly removals: readonly Removal[]
  readonly gaps: readonly Removal[]
  readonly ranges: readonly (WalRange & { readonly endLsn: Lsn })[]
}

function planWal(
  view: CollectionView,
  options: {
    readonly verdicts: readonly BackupVerdict[]
    readonly live: readonly SessionNote[]
    readonly mayRemove: boolean
    readonly agreed: CollectionPlan | undefined
  },
): WalPlan {
  const listed = options.verdicts.map(({ commit, wal }) => ({ ...commit.facts, wal }))
  const copied = options.live.flatMap(({ copy }) => (copy === null ? [] : [{ ...copy, wal: 'own' as const }]))
  const needed = neededWal([...listed, ...copied], view)
  const agreed = agreedKeys(options.agreed)
  const goes = (object: WalObject): boolean =>
    options.mayRemove &&
    (agreed?.has(object.key) ?? true) &&
    !isInFirst(view, object.key) &&
    !isNeeded(object, needed, view.walSegmentBytes)
  const segments = view.segments.filter(goes)
  const oddFiles = view.oddFiles.filter(goes)
  const size = BigInt(view.walSegmentBytes)
  const begin = ({ startLsn }: WalObject): bigint => startLsn - (startLsn % size)
  const stored = new Set(view.segments.map((segment) => `${segment.timeline} ${segment.startLsn}`))
  const isSuperseded = (tail: WalObject): boolean => stored.has(`${tail.timeline} ${begin(tail)}`)
  const superseded = view.tails.filter(isSuperseded)
  const tails = view.tails.filter((tail) => !isSuperseded(tail) && goes(tail))
  const because = 'no backup that stays needs it'
  return {
    removals: [
      ...[...segments, ...oddFiles].map(({ key, sizeBytes }): Removal => ({
        kind: 'segment',
        key,
        sizeBytes,
        because,
      })),
      ...tails.map(({ key, sizeBytes }): Removal => ({ kind: 'tail', key, sizeBytes, because })),
      ...superseded.map(({ key, sizeBytes }): Removal => {
        return { kind: 'tail', key, sizeBytes, because: 'its whole segment is stored' }
      }),
    ],
    // The moments that a record speaks of can no longer be asked for.
    gaps: view.gaps
      .filter((gap) => options.mayRemove && (agreed?.has(gap.key) ?? true) && !isInFirst(view, gap.key))
      .filter((gap) => !isGapNeeded(gap, needed))
      .map(({ key, sizeBytes }): Removal => ({ kind: 'gap', key, sizeBytes, because })),
    ranges: joined(
      [...segments, ...tails].map((object) => {
        const startLsn = begin(object) as Lsn
        return { timeline: object.timeline, startLsn, endLsn: (startLsn + size) as Lsn }
      }),
    ),
  }
}

function isInFirst(view: CollectionView, key: string): boolean {
  return view.first?.keys.has(key) ?? false
}

function agreedKeys(agreed: CollectionPlan | undefined): ReadonlySet<string> | undefined {
  return agreed === undefined ? undefined : new Set(agreed.removals.map(({ key }) => key))
}

function joined(
  ranges: readonly (WalRange & { readonly endLsn: Lsn })[],
): readonly (WalRange & { readonly endLsn: Lsn })[] {
  const result: (WalRange & { readonly endLsn: Lsn })[] = []
  for (const range of ranges.toSorted((a, b) => a.timeline - b.timeline || (a.startLsn < b.startLsn ? -1 : 1))) {
    const last = result.at(-1)
    const touches = last?.timeline === range.timeline && last.endLsn >= range.startLsn
    if (touches) result[result.length - 1] = { ...last, endLsn: range.endLsn }
    else result.push(range)
  }
  return result
}

function total(
  all: readonly StoredBytes[],
  removals: readonly Removal[],
): { readonly count: number; readonly sizeBytes: number } {
  const going = new Set(removals.map(({ key }) => key))
  const kept = all.filter(({ key }) => !going.has(key))
  return { count: kept.length, sizeBytes: kept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
}
