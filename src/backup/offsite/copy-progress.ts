import type { BackupFacts } from '../../repository/core/backup-facts.ts'
import { commitObject } from '../../repository/core/object-names.ts'
import type { EpochMs } from '../../std/clock.ts'
import type { Fault } from '../../std/fault.ts'
import { isListed } from './copy-once.ts'
import type { CopyItem, CopyPlan } from './core/plan-copy.ts'
import type { CopySurvey } from './survey-copy.ts'

/**
 * `current`: it has everything that the first repository had at the last look. `incomplete`: everything but what has a
 * problem. `retrying`: a place does not work.
 */
export type CopierState = 'connecting' | 'copying' | 'current' | 'incomplete' | 'retrying'

export interface CopierStatus {
  readonly state: CopierState
  /** When the copy last had everything that the first repository had; undefined when that is not known. */
  readonly currentAt: EpochMs | undefined
  /** The same of the WAL alone, which comes before backups: what was committed before can be restored from the copy. */
  readonly walCurrentAt: EpochMs | undefined
  /** Listed in the first repository and not in the copy; undefined before the first look, as the following. */
  readonly backupsMissing: number | undefined
  readonly missingBytes: MissingBytes | undefined
  /** The newest backup that is listed in the copy. */
  readonly newest: Pick<BackupFacts, 'backup' | 'stoppedAt'> | undefined
  /** Since this process began. */
  readonly copiedBytes: number
  /** What could not be copied although both places work, by what it is. */
  readonly problems: ReadonlyMap<string, Fault>
  /** Why it is not going on. */
  readonly error: unknown
}

export interface MissingBytes {
  readonly wal: number
  readonly backups: number
  readonly other: number
}

/** As an earlier run has left word. */
export interface RememberedTimes {
  readonly currentAt?: EpochMs | undefined
  readonly walCurrentAt?: EpochMs | undefined
}

type Kind = keyof MissingBytes

/** Keeps count of what a copy lacks while it is being copied. */
export class CopyProgress {
  readonly #onStatus: (status: CopierStatus) => void
  /** What is known to be missing. */
  readonly #missing = new Map<string, { readonly kind: Kind; readonly sizeBytes: number }>()
  readonly #bytes: Record<Kind, number> = { wal: 0, backups: 0, other: 0 }
  /** Backups that the copy does not list, by the key of their commit. */
  readonly #backups = new Map<string, BackupFacts>()
  #problems = new Map<string, Fault>()
  #damaged = 0
  #looked = false
  #state: CopierState = 'connecting'
  #error: unknown
  #currentAt: EpochMs | undefined
  #walCurrentAt: EpochMs | undefined
  #newest: BackupFacts | undefined
  #copiedBytes = 0

  constructor(onStatus: (status: CopierStatus) => void, remembered: RememberedTimes) {
    this.#onStatus = onStatus
    this.#currentAt = remembered.currentAt
    this.#walCurrentAt = remembered.walCurrentAt
    this.#tell()
  }

  get copiedBytes(): number {
    return this.#copiedBytes
  }

  get hasProblems(): boolean {
    return this.#problems.size > 0
  }

  /** Everything was looked at. */
  begin(survey: CopySurvey, plan: CopyPlan): void {
    this.#missing.clear()
    Object.assign(this.#bytes, { wal: 0, backups: 0, other: 0 })
    this.#backups.clear()
    this.#problems = new Map(survey.damaged.map(({ backup, fault }) => [`backup ${backup}`, fault]))
    this.#damaged = survey.damaged.length
    this.#newest = survey.commits.findLast(({ facts }) => isListed(survey, facts.backup))?.facts
    for (const { commit, listed, missing } of plan.backups) {
      this.#add('backups', missing)
      if (!listed) this.#backups.set(commitObject(survey.cluster, commit.facts.backup), commit.facts)
    }
    for (const { parts, record } of plan.dumps) this.#add('other', [...parts, record])
    this.#add('other', plan.kit)
    this.#add('wal', plan.wal)
    this.#looked = true
    this.#error = undefined
    this.#enter('copying')
  }

  addWal(items: readonly CopyItem[]): void {
    this.#add('wal', items)
    if (items.length > 0) this.#enter('copying')
  }

  copied({ key, sizeBytes }: CopyItem): void {
    this.#copiedBytes += sizeBytes
    this.#remove(key)
    const facts = this.#backups.get(key)
    if (facts !== undefined) {
      this.#backups.delete(key)
      if (this.#newest === undefined || facts.startLsn >= this.#newest.startLsn) this.#newest = facts
    }
    this.#tell()
  }

  /** These are there, or gone from the first repository; what has a problem is still missing. */
  settled(items: readonly CopyItem[]): void {
    for (const { key } of items) if (!this.#problems.has(key)) this.#remove(key)
  }

  problem(subject: string, fault: Fault): void {
    this.#problems.set(subject, fault)
    this.#tell()
  }

  /** At the time given, no WAL was missing; unless some of it has a problem. */
  walArrived(at: EpochMs): void {
    if (this.#bytes.wal > 0) return
    this.#walCurrentAt = at
    this.#tell()
  }

  /** At the time given, nothing was missing but what has a problem. */
  arrived(at: EpochMs): void {
    const complete = this.#problems.size === 0
    if (complete) this.#currentAt = at
    this.#enter(complete ? 'current' : 'incomplete')
  }

  failed(error: unknown): void {
    this.#error = error
    this.#enter('retrying')
  }

  #add(kind: Kind, items: readonly CopyItem[]): void {
    for (const { key, sizeBytes } of items) {
      if (this.#missing.has(key)) continue
      this.#missing.set(key, { kind, sizeBytes })
      this.#bytes[kind] += sizeBytes
    }
  }

  #remove(key: string): void {
    const found = this.#missing.get(key)
    if (found === undefined) return
    this.#missing.delete(key)
    this.#bytes[found.kind] -= found.sizeBytes
  }

  #enter(state: CopierState): void {
    this.#state = state
    this.#tell()
  }

  #tell(): void {
    this.#onStatus({
      state: this.#state,
      currentAt: this.#currentAt,
      walCurrentAt: this.#walCurrentAt,
      backupsMissing: this.#looked ? this.#backups.size + this.#damaged : undefined,
      missingBytes: this.#looked ? { ...this.#bytes } : undefined,
      newest: this.#newest,
      copiedBytes: this.#copiedBytes,
      problems: this.#problems,
      error: this.#error,
    })
  }
}
