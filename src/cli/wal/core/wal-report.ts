import type { GapRecord } from '../../../repository/core/gap-record.ts'
import type { LsnRange } from '../../../repository/core/wal-coverage.ts'
import type { EpochMs } from '../../../std/clock.ts'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'
import type { ArchiverAnswer } from '../../status/core/status-report.ts'
import type { ServerWal, SlotReport } from './server-wal.ts'

/** What was seen of the archive of one repository. Null stands for what could not be observed (L11). */
export interface WalFacts {
  readonly repository: string
  /** It has no archiver of its own: it is copied from the first. */
  readonly isCopy: boolean
  readonly stored: StoredWal | { readonly unreadable: string }
  /** Undefined: the leader's agent did not say; null: it runs none. */
  readonly archiver: ArchiverAnswer | null | undefined
  /** The clock that the archiver's times are by. */
  readonly agentNow: EpochMs | null
  readonly server: ServerWal | { readonly unreachable: string }
}

export interface StoredWal {
  readonly timelines: readonly StoredTimeline[]
  readonly windows: readonly ShownWindow[]
  readonly gaps: readonly (GapRecord & { readonly open: boolean })[]
}

export interface StoredTimeline {
  readonly timeline: TimelineId
  readonly ranges: readonly LsnRange[]
  readonly segments: number
  readonly storedBytes: number
  readonly newestSegment: string | null
}

/** Every moment from one end to the other can be restored. */
export interface ShownWindow {
  readonly timeline: TimelineId
  readonly backup: string
  readonly from: EpochMs
  readonly fromLsn: Lsn
  /** The last commit in it; null when none is near its end. */
  readonly lastCommit: EpochMs | null
  readonly toLsn: Lsn
}

export interface WalReport {
  readonly repository: string
  readonly problems: readonly string[]
  readonly stored: StoredWal | null
  readonly archiver: {
    readonly state: string
    readonly bytesPerSecond: number | null
    readonly spoolBytes: number | null
    readonly spoolLimitBytes: number | null
  } | null
  /** WAL of the server that the repository does not have. */
  readonly lagBytes: number | null
  /** Since when it does not have everything; nothing younger than this is certain to be stored. */
  readonly lagMs: number | null
  readonly slot: SlotReport | null
}

/** An archiver that has not said anything for so long is not taken at its word. */
const silenceMs = 10_000

export function reportWal(facts: WalFacts): WalReport {
  const { repository, archiver, server } = facts
  const stored = 'unreadable' in facts.stored ? null : facts.stored
  return {
    repository,
    problems: problemsOf(facts),
    stored,
    archiver:
      archiver === undefined || archiver === null
        ? null
        : {
            state: archiver.state,
            bytesPerSecond: archiver.bytesPerSecond ?? null,
            spoolBytes: archiver.spoolBytes ?? null,
            spoolLimitBytes: archiver.spoolLimitBytes ?? null,
          },
    lagBytes: lagBytes(stored, server),
    lagMs: lagMs(facts),
    slot: 'unreachable' in server ? null : (server.slot ?? null),
  }
}

/** By what lies in the repository, not by what its writer says. */
function lagBytes(stored: StoredWal | null, server: WalFacts['server']): number | null {
  if (stored === null || 'unreachable' in server) return null
  const end = stored.timelines.find(({ timeline }) => timeline === server.timeline)?.ranges.at(-1)?.endLsn
  if (end === undefined) return null
  return end >= server.flushLsn ? 0 : Number(server.flushLsn - end)
}

/** From when the repository last had all that the server had told: so a dead link grows older and never reads zero. */
function lagMs({ archiver, agentNow }: WalFacts): number | null {
  const caughtUpAt = archiver?.caughtUpAt ?? null
  if (caughtUpAt === null || agentNow === null) return null
  return Math.max(0, agentNow - caughtUpAt)
}

function problemsOf(facts: WalFacts): readonly string[] {
  const { archiver, agentNow, server, stored } = facts
  const problems: string[] = []
  if ('unreadable' in stored) problems.push(`the repository cannot be read: ${stored.unreadable}`)
  if (facts.isCopy) return [...problems, ...openGapsOf(stored)]
  if (archiver === undefined) problems.push('the agent of the leader does not say how its archiver is')
  else if (archiver === null) problems.push('no archiver runs')
  else {
    const { state, error, saidAt } = archiver
    if (error !== null) problems.push(`the archiver is ${state}: ${error.message}`)
    else if (state !== 'streaming') problems.push(`the archiver is ${state}`)
    if (agentNow !== null && saidAt !== undefined && agentNow - saidAt > silenceMs) {
      problems.push(`the archiver has said nothing for ${Math.round((agentNow - saidAt) / 1000)} s`)
    }
  }
  if ('unreachable' in server) problems.push(`the server of the leader does not answer: ${server.unreachable}`)
  else if (server.slot === undefined) problems.push('the server keeps no WAL for the archiver: its slot is missing')
  else if (server.slot.status === 'lost') problems.push('the server has given up the slot of the archiver')
  else if (server.slot.status === 'unreserved') {
    problems.push('the server is about to remove WAL that the archiver needs: its slot is over the limit')
  }
  return [...problems, ...openGapsOf(stored)]
}

function openGapsOf(stored: WalFacts['stored']): readonly string[] {
  if ('unreadable' in stored) return []
  const open = stored.gaps.filter((gap) => gap.open).length
  if (open === 0) return []
  return [`${open === 1 ? 'a stretch' : `${open} stretches`} of WAL is lost, and no backup lies behind it yet`]
}
