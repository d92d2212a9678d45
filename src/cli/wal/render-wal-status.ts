import { describeBytes } from '../../std/byte-size.ts'
import type { EpochMs } from '../../std/clock.ts'
import { describeElapsed } from '../../std/duration.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import { formatTable } from '../terminal/table.ts'
import type { StoredWal, WalReport } from './core/wal-report.ts'

/** `?` stands for what was not observed. */
export function renderWalStatus(report: WalReport, now: EpochMs): string {
  const lines = [`repository ${report.repository}`, ...report.problems.map((problem) => `  ! ${problem}`), '']
  if (report.stored !== null) lines.push(...renderStored(report.stored, now), '')
  const { archiver, slot } = report
  const rate = archiver?.bytesPerSecond ?? null
  lines.push(
    field('behind', `${bytesOr(report.lagBytes)}, ${elapsedOr(report.lagMs)}`),
    field('archiver', archiver === null ? '?' : `${archiver.state}, ${bytesOr(rate)} a second over the last minute`),
    field('spool', archiver === null ? '?' : `${bytesOr(archiver.spoolBytes)} of ${bytesOr(archiver.spoolLimitBytes)}`),
    field('slot', slot === null ? '?' : describeSlot(slot)),
  )
  return lines.join('\n')
}

function renderStored({ timelines, windows, gaps }: StoredWal, now: EpochMs): readonly string[] {
  const lines: string[] = []
  const rows = timelines.map(({ timeline, ranges, segments, storedBytes, newestSegment }) => [
    String(timeline),
    ranges[0] === undefined ? '' : formatLsn(ranges[0].startLsn),
    ranges.at(-1) === undefined ? '' : formatLsn(ranges.at(-1)?.endLsn ?? (0n as never)),
    ranges.length > 1 ? String(ranges.length - 1) : 'none',
    String(segments),
    describeBytes(storedBytes),
    newestSegment ?? '',
  ])
  const header = ['timeline', 'from', 'to', 'holes', 'segments', 'stored', 'newest segment']
  if (rows.length > 0) lines.push(formatTable(header, rows, [4, 5]), '')
  if (windows.length === 0) lines.push('nothing can be restored: no backup has the WAL that it needs')
  for (const { timeline, from, fromLsn, lastCommit, toLsn } of windows) {
    const last = lastCommit === null ? 'no commit near it' : `last commit ${iso(lastCommit)}`
    lines.push(
      `can be restored on timeline ${timeline}: ${iso(from)} (${formatLsn(fromLsn)}) to ${formatLsn(toLsn)}, ${last}`,
    )
  }
  for (const { timeline, startLsn, endLsn, foundAt, because, open } of gaps) {
    const when = foundAt === null ? '' : `, found ${describeElapsed(now - foundAt)} ago`
    const after = open ? 'no backup behind it yet' : 'a backup lies behind it, or it has come after all'
    lines.push(
      `lost on timeline ${timeline}: ${formatLsn(startLsn)} to ${formatLsn(endLsn)}${when}; ${after}; ${because}`,
    )
  }
  return lines
}

function describeSlot(slot: NonNullable<WalReport['slot']>): string {
  const use = slot.active ? 'in use' : 'NOT in use'
  const limit = slot.safeBytes === null ? 'no limit' : `${describeBytes(slot.safeBytes)} until the server gives it up`
  return `${slot.name}: ${use}, ${slot.status ?? '?'}, keeps ${bytesOr(slot.retainedBytes)} (${limit})`
}

function bytesOr(bytes: number | null): string {
  return bytes === null ? '?' : describeBytes(bytes)
}

function elapsedOr(ms: number | null): string {
  return ms === null ? '?' : describeElapsed(ms)
}

function iso(at: EpochMs): string {
  return new Date(at).toISOString()
}

function field(name: string, text: string): string {
  return `${name.padEnd(11)}${text}`
}
