import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readControlFile } from '../../postgres/control-file.ts'
import { isUnfinishedClone } from '../../postgres/clone/unfinished-clone.ts'
import { whyNotToRun } from '../../restore/layout/restore-note.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { classifyWalFile, historyFileName, segmentBefore, segmentStart } from '../../wal/core/segment.ts'
import { parseTimelineHistory } from '../../wal/core/timeline-history.ts'
import type { Lineage } from '../core/lineage.ts'
import type { DataView } from '../core/view.ts'
import { pendingBirth } from './bootstrap-data.ts'

/** WAL that a crashed server replays when nobody knows how much it had written. */
const unknownRecoveryBytes = 64 * 2 ** 20

/** What the files of a data directory say, whether its server runs or not. */
export async function readData(
  dataDirectory: string,
  known: { readonly unborn: string | null; readonly lastFlushLsn: Lsn | null },
): Promise<DataView> {
  const entries = await readdir(dataDirectory).catch((error: NodeJS.ErrnoException) => error)
  if (!Array.isArray(entries)) {
    if (entries.code === 'ENOENT') return { status: 'empty' }
    return { status: 'unusable', because: `the data directory cannot be read (${entries.code ?? entries.message})` }
  }
  const nothingYet = entries.length === 0 || known.unborn === pendingBirth
  if (nothingYet || (await isUnfinishedClone(dataDirectory))) return { status: 'empty' }
  const because = whyNotToRun(entries)
  if (because !== undefined) return { status: 'unusable', because }
  if (!entries.includes('PG_VERSION')) {
    return { status: 'unusable', because: `the data directory holds ${entries[0]}, but no PostgreSQL data` }
  }
  try {
    return await readPresent(dataDirectory, entries, known)
  } catch (error) {
    return { status: 'unusable', because: error instanceof Error ? error.message : String(error) }
  }
}

async function readPresent(
  dataDirectory: string,
  entries: readonly string[],
  known: { readonly unborn: string | null; readonly lastFlushLsn: Lsn | null },
): Promise<DataView> {
  const control = await readControlFile(dataDirectory)
  const timeline = Math.max(control.timeline, control.minRecoveryTimeline ?? 0) as TimelineId
  const systemIdentifier = String(control.systemIdentifier)
  const clean = control.state === 'shut down' || control.state === 'shut down in recovery'
  const written = known.lastFlushLsn === null ? unknownRecoveryBytes : Number(known.lastFlushLsn - control.redoLsn)
  return {
    status: 'present',
    systemIdentifier,
    major: control.majorVersion,
    lineage: await readLineage(dataDirectory, timeline),
    newestTimeline: await newestTimeline(dataDirectory, timeline, control.walSegmentBytes),
    standbySignal: entries.includes('standby.signal'),
    clean,
    recoveryBytes: Math.max(0, written),
    incomplete: entries.includes('backup_label') || control.backupStartLsn > 0n || control.backupEndRequired,
    reached: control.minRecoveryLsn > control.redoLsn ? control.minRecoveryLsn : control.redoLsn,
    unborn: known.unborn === systemIdentifier,
  }
}

/** The timelines that lead to `timeline`, by its history file. */
export async function readLineage(dataDirectory: string, timeline: TimelineId): Promise<Lineage> {
  if (timeline === 1) return { timeline, left: [] }
  const name = historyFileName(timeline)
  const text = await readFile(join(dataDirectory, 'pg_wal', name), 'utf8')
  const parsed = parseTimelineHistory(timeline, text)
  if ('malformed' in parsed) throw new Error(`${name}: ${parsed.malformed}`)
  return { timeline, left: parsed.history.ancestors.map((step) => ({ timeline: step.timeline, at: step.switchLsn })) }
}

/** The highest timeline that a history file in `pg_wal` names. */
export async function newestTimeline(
  dataDirectory: string,
  own: TimelineId,
  segmentBytes: number,
): Promise<TimelineId> {
  const files = (await readdir(join(dataDirectory, 'pg_wal'))).map((name) => classifyWalFile(name, segmentBytes))
  return Math.max(own, ...files.map((file) => (file?.kind === 'history' ? file.timeline : 0))) as TimelineId
}

/**
 * The timeline of the WAL that ends at `end`: that of the newest segment file which holds its last byte. A standby that
 * has stopped receiving in the middle of a timeline knows it from nowhere else.
 */
export async function timelineOfEnd(dataDirectory: string, end: Lsn, segmentBytes: number): Promise<TimelineId> {
  const last = segmentBefore(end, segmentBytes)
  const files = (await readdir(join(dataDirectory, 'pg_wal'))).map((name) => classifyWalFile(name, segmentBytes))
  return Math.max(
    0,
    ...files.map((file) => (file?.kind === 'segment' && file.segment === last ? file.timeline : 0)),
  ) as TimelineId
}

/** Where the oldest segment in `pg_wal` begins: a standby that needs older WAL can get it nowhere. */
export async function oldestWal(dataDirectory: string, segmentBytes: number): Promise<Lsn | null> {
  const files = (await readdir(join(dataDirectory, 'pg_wal'))).map((name) => classifyWalFile(name, segmentBytes))
  const segments = files.flatMap((file) => (file?.kind === 'segment' ? [file.segment] : []))
  const oldest = segments.toSorted((a, b) => (a < b ? -1 : 1))[0]
  return oldest === undefined ? null : segmentStart(oldest, segmentBytes)
}
