import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, writeFileDurably } from '../../std/durable-file.ts'

/** Stands in a directory from the first to the last moment in which a restore writes its files. */
export const incompleteMarker = 'holdfast-restore-incomplete'

/** Stands in a directory whose files are restored until its recovery has come to its end. */
export const recoveryMarker = 'holdfast-recovery-unfinished'

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

type Marker = typeof incompleteMarker | typeof recoveryMarker

const advice = 'An unfinished restore. Run the same `holdfast restore` again to go on with it, or remove the directory.'

export async function writeRestoreNote(directory: string, marker: Marker, note: RestoreNote): Promise<void> {
  await writeFileDurably(join(directory, marker), `${JSON.stringify({ advice, ...note }, null, 2)}\n`)
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

export async function removeRestoreNote(directory: string, marker: Marker): Promise<void> {
  await rm(join(directory, marker), { force: true })
  await syncDirectory(directory)
}
