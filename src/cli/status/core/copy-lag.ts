import type { EpochMs } from '../../../std/clock.ts'
import { describeBytes } from '../../../std/byte-size.ts'
import { describeElapsed } from '../../../std/duration.ts'
import type { ArchivedRepository, CopierAnswer, CopyLag } from './status-report.ts'

/** Copies follow within seconds; one whose WAL is older than this is in trouble, or its line is too thin. */
const toleratedWalMs = 60_000
const shownProblems = 3
/** A copier that works looks every few seconds. */
const freshMs = 20_000

/** How far a copy is behind, from what its copier said. */
export function copyLag(copier: CopierAnswer, now: EpochMs): CopyLag {
  const { state, currentAt, walCurrentAt, missingBytes, backupsMissing } = copier
  const since = (time: string | null): number | null => (time === null ? null : Math.max(0, now - Date.parse(time)))
  // What a copier that hangs said long ago is no proof.
  const settled = (ms: number | null): number | null => (ms !== null && ms < freshMs ? 0 : ms)
  const bytes = missingBytes === null ? null : missingBytes.wal + missingBytes.backups + missingBytes.other
  const walIsThere = state !== 'retrying' && missingBytes?.wal === 0
  return {
    walMs: walIsThere ? settled(since(walCurrentAt)) : since(walCurrentAt),
    allMs: state === 'current' ? settled(since(currentAt)) : since(currentAt),
    bytes,
    backups: backupsMissing,
  }
}

/** What keeps a copy from being one. */
export function copierProblems({ name, copier, lag }: ArchivedRepository): readonly string[] {
  if (copier === null) return []
  if (copier === 'none') return [`repository ${name}: no copier runs, so nothing reaches it`]
  const { error, problems, problemCount } = copier
  const found = problems
    .slice(0, shownProblems)
    .map(({ subject, message }) => `repository ${name}: ${subject}: ${message}`)
  const more =
    problemCount > found.length ? [`repository ${name}: ${problemCount - found.length} more of this kind`] : []
  const failing = error === null ? [] : [`repository ${name} cannot be copied to: ${error.message}`]
  const late = (lag?.walMs ?? 0) > toleratedWalMs ? [`repository ${name} is behind: ${describeLag(lag)}`] : []
  return [...failing, ...late, ...found, ...more]
}

/** `WAL 4 s behind, 2 backups and 1.2 GB missing`, or that all is there. */
export function describeLag(lag: CopyLag | null): string {
  if (lag === null) return '?'
  const { walMs, allMs, bytes, backups } = lag
  if (allMs === 0) return 'everything is there'
  const wal =
    walMs === 0 ? 'WAL is there' : walMs === null ? 'WAL was never complete' : `WAL ${describeElapsed(walMs)} behind`
  if (bytes === null || backups === null) return wal
  const missing = backups === 0 ? '' : `${backups} ${backups === 1 ? 'backup' : 'backups'} and `
  return `${wal}, ${missing}${describeBytes(bytes)} missing`
}
