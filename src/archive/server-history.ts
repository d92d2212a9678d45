import type { ReplicationConnection, SystemIdentity } from '../postgres/replication/replication-connection.ts'
import { Fault } from '../std/fault.ts'
import { firstTimelineHistory, parseTimelineHistory } from '../wal/core/timeline-history.ts'
import type { TimelineHistory } from '../wal/core/timeline-history.ts'
import { archiveFaults } from './faults.ts'

/** The history of the timeline that a server is on. */
export async function readHistory(
  connection: ReplicationConnection,
  identity: SystemIdentity,
): Promise<TimelineHistory> {
  if (identity.timeline === 1) return firstTimelineHistory()
  return parseHistory(identity, (await connection.timelineHistory(identity.timeline)).content)
}

/** Throws `archive-history-unusable`. */
export function parseHistory({ timeline }: Pick<SystemIdentity, 'timeline'>, content: Uint8Array): TimelineHistory {
  const parsed = parseTimelineHistory(timeline, Buffer.from(content).toString('utf8'))
  if ('history' in parsed) return parsed.history
  throw new Fault(
    archiveFaults['archive-history-unusable'],
    `Cannot archive timeline ${timeline}: the server's history file of it is malformed: ${parsed.malformed}`,
    { details: { timeline } },
  )
}
