import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, writeFileDurably } from '../../std/durable-file.ts'

/** Stands in a directory from the first to the last moment in which a restore writes its files. */
export const incompleteMarker = 'holdfast-restore-incomplete'

/** Stands in a directory whose files are restored until its recovery has come to its end. */
export const recoveryMarker = 'holdfast-recovery-unfinished'

/** Stands in a restored directory that nobody has adopted: an agent does not lead with it, nor follow. */
export const restoredMarker = 'holdfast-restored'

/** Why a directory with these entries is not an agent's to run, in words; undefined when no restore has to do with it. */
export function whyNotToRun(entries: readonly string[]): string | undefined {
  if (entries.includes(incompleteMarker) || entries.includes(recoveryMarker)) {
    return 'a restore into the data directory has not come to its end'
  }
  if (!entries.includes(restoredMarker)) return undefined
  return `the data directory is a restored copy; restore it with --adopt, or remove its file ${restoredMarker}, to make it the cluster's`
}

/** The lock of a running restore, and what SQLite puts beside it; a crash leaves them. */
export const lockName = 'holdfast-restore-lock'
export const lockNames: readonly string[] = [lockName, `${lockName}-journal`]

/** What a restore that did not come to its end leaves in its directory, so that another run can go on from there. */
export interface RestoreNote {
  readonly repositoryId: string
  readonly cluster: string
  readonly systemIdentifier: string
  readonly backup: string
  /** What was to be recovered to, in words, and over which timeline. */
  readonly target: string
  readonly timeline: number
  /** Where it put the tablespaces, by OID. */
  readonly tablespaces: Readonly<Record<string, string>>
}

type Marker = typeof incompleteMarker | typeof recoveryMarker | typeof restoredMarker

const advice = {
  [incompleteMarker]:
    'An unfinished restore. Run the same `holdfast restore` again to go on with it, or remove the directory.',
  [recoveryMarker]:
    'An unfinished restore. Run the same `holdfast restore` again to go on with it, or remove the directory.',
  [restoredMarker]: 'A restored copy. An agent leaves it alone as long as this file is here.',
} as const

export async function writeRestoreNote(directory: string, marker: Marker, note: RestoreNote): Promise<void> {
  await writeFileDurably(join(directory, marker), `${JSON.stringify({ advice: advice[marker], ...note }, null, 2)}\n`)
}

/** Undefined when there is none, and when what is there cannot be read. */
export async function readRestoreNote(directory: string, marker: Marker): Promise<RestoreNote | undefined> {
  const text = await readFile(join(directory, marker), 'utf8').catch(() => '')
  try {
    const note = JSON.parse(text) as RestoreNote
    return typeof note.systemIdentifier === 'string' && typeof note.tablespaces === 'object' ? note : undefined
  } catch {
    return undefined
  }
}

/** The recovery is at its end: the copy becomes one that is restored, or one that is an agent's to run. */
export async function settleRestore(directory: string, { adopt }: { readonly adopt: boolean }): Promise<void> {
  const note = await readRestoreNote(directory, recoveryMarker)
  if (adopt) await removeRestoreNote(directory, restoredMarker)
  else if (note !== undefined) await writeRestoreNote(directory, restoredMarker, note)
  await removeRestoreNote(directory, recoveryMarker)
}

export async function removeRestoreNote(directory: string, marker: Marker): Promise<void> {
  await rm(join(directory, marker), { force: true })
  await syncDirectory(directory)
}
