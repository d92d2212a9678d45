import { chmod, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, writeFileDurably } from '../../std/durable-file.ts'
import { Fault } from '../../std/fault.ts'
import { cloneFaults } from './faults.ts'

/**
 * A clone is written in place, because a data directory may be a mount point and tablespaces lie elsewhere anyway. While
 * it is unfinished this file lies in it, made durable before anything else and removed after everything else; it names
 * the tablespace directories that belong to the clone. Without `global/pg_control`, which a clone writes last, PostgreSQL
 * refuses to start on it.
 */
export const markerName = 'holdfast-clone.incomplete'

/** True when a directory holds a clone that was not finished; {@link prepareDirectory} clears it. */
export async function isUnfinishedClone(dataDirectory: string): Promise<boolean> {
  return (await entriesOf(dataDirectory)).some(isMarker)
}

/** Makes a directory ready to be cloned into: there, 0700, and empty but for the marker. Refuses what is not ours. */
export async function prepareDirectory(dataDirectory: string): Promise<void> {
  const entries = await entriesOf(dataDirectory)
  const ours = entries.some(isMarker) && !entries.includes('postmaster.pid')
  if (entries.length > 0 && !ours) throw notEmpty(dataDirectory, entries)
  if (ours) await clearUnfinishedClone(dataDirectory)
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 })
  await chmod(dataDirectory, 0o700)
  await writeMarker(dataDirectory, [])
}

/** Makes a tablespace's directory ready, after the marker knows about it. */
export async function prepareTablespaces(dataDirectory: string, directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    const entries = await entriesOf(directory)
    if (entries.length > 0) throw notEmpty(directory, entries)
  }
  await writeMarker(dataDirectory, directories)
  for (const directory of directories) await mkdir(directory, { recursive: true, mode: 0o700 })
}

/** Takes the marker away: the clone is whole. */
export async function finishClone(dataDirectory: string): Promise<void> {
  await rm(join(dataDirectory, markerName))
  await syncDirectory(dataDirectory)
}

/** Removes everything of an unfinished clone, its marker last, and leaves the directory empty. */
export async function clearUnfinishedClone(dataDirectory: string): Promise<void> {
  for (const directory of await markedTablespaces(dataDirectory)) {
    // A tablespace holds nothing else from us than the directory of its server's version.
    const ours = (await entriesOf(directory)).filter((entry) => entry.startsWith('PG_'))
    for (const entry of ours) await rm(join(directory, entry), { recursive: true, force: true })
  }
  const entries = await entriesOf(dataDirectory)
  for (const entry of entries.filter((name) => !isMarker(name))) {
    await rm(join(dataDirectory, entry), { recursive: true, force: true })
  }
  for (const entry of entries.filter(isMarker)) await rm(join(dataDirectory, entry), { force: true })
}

async function writeMarker(dataDirectory: string, tablespaces: readonly string[]): Promise<void> {
  await writeFileDurably(join(dataDirectory, markerName), `${JSON.stringify({ tablespaces })}\n`)
}

async function markedTablespaces(dataDirectory: string): Promise<readonly string[]> {
  const text = await readFile(join(dataDirectory, markerName), 'utf8').catch(ignoreMissing)
  if (text === undefined) return []
  const content: unknown = JSON.parse(text)
  const list = typeof content === 'object' && content !== null && 'tablespaces' in content ? content.tablespaces : []
  return Array.isArray(list) ? list.filter((path) => typeof path === 'string') : []
}

async function entriesOf(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(ignoreMissing)) ?? []
}

/** The marker or its temporary file, which a crash may leave alone. */
function isMarker(entry: string): boolean {
  return entry.startsWith(markerName)
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
  throw error
}

function notEmpty(directory: string, entries: readonly string[]): Fault {
  return new Fault(
    cloneFaults['postgres-clone-directory-not-empty'],
    `Cannot clone into ${directory}: it is not empty (${entries.slice(0, 3).join(', ')}${entries.length > 3 ? ', …' : ''})`,
    { details: { directory } },
  )
}
