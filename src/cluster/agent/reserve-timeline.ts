import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, writeFileDurably } from '../../std/durable-file.ts'
import type { TimelineId } from '../../wal/core/lsn.ts'
import { historyFileName } from '../../wal/core/segment.ts'

/**
 * PostgreSQL numbers the timeline of a promotion with the next id for which it finds no history file. A term that won an
 * election and died before it published its timeline may have used an id that no other node knows of; using it again
 * would give two different histories one name. So an id that was reserved and not seen again is taken here by a history
 * file without entries: PostgreSQL then skips it, and such a file is no ancestor of anything.
 */
const reservation = '# reserved by Holdfast for a term that never published this timeline\n'

/** Makes the promotion of a server on `current` begin timeline `wanted`, or a later one where that is taken. */
export async function reserveTimeline(dataDirectory: string, current: TimelineId, wanted: TimelineId): Promise<void> {
  const directory = join(dataDirectory, 'pg_wal')
  const present = new Set(await readdir(directory))
  for (let timeline = current + 1; timeline < wanted; timeline += 1) {
    const name = historyFileName(timeline as TimelineId)
    if (!present.has(name)) await writeFileDurably(join(directory, name), reservation)
  }
}

/** Removes reservations that no later timeline has followed: a server that starts would take the last for its own. */
export async function removeUnusedReservations(dataDirectory: string): Promise<void> {
  const directory = join(dataDirectory, 'pg_wal')
  const names = (await readdir(directory)).filter((name) => /^[0-9A-F]{8}\.history$/.test(name))
  for (const name of names.toSorted().toReversed()) {
    if ((await readFile(join(directory, name), 'utf8')) !== reservation) break
    await rm(join(directory, name))
  }
  await syncDirectory(directory)
}
