import type { EpochMs } from '../../../std/clock.ts'
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
export function copierProblems({
  name,
  copier,
  lag,
}: Pick<ArchivedRepository, 'name' | 'copier' | 'lag'>): readonly string[] {
  if (copier === null) return []
  if (copier === 'none') return [`repository ${name}: no copier runs, so nothing reaches it`]
  const { error, problems, problemCount } = copier
  const found = problems
    .slice(0, shownProblems)
    .map(({ subject, message }) => `repository ${name}: ${subject}: ${message}`)
  const more =
    problemCount > found.length ? [`repository ${name}: ${problemCount - found.length} more of this kind`] : []
  const failing = error === null ? [] : [`repository ${name} cannot be copied to: ${error.message}`]
  const walMs = lag?.walMs ?? 0
  const seconds = Math.round(walMs / 1000)
  const late = walMs > toleratedWalMs ? [`repository ${name} is behind: it lacks WAL since ${seconds} s`] : []
  return [...failing, ...late, ...found, ...more]
}
