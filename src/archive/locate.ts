import type { ReplicationConnection, SystemIdentity } from '../postgres/replication/replication-connection.ts'
import { replicationFaults } from '../postgres/replication/faults.ts'
import { isObjectFault } from '../repository/catalogue.ts'
import { segmentNameAt } from '../repository/core/object-names.ts'
import type { TailName } from '../repository/core/object-names.ts'
import type { WalInventory } from '../repository/core/wal-coverage.ts'
import { claimCluster } from '../repository/cluster-identity.ts'
import type { Repository } from '../repository/repository.ts'
import { deleteTail, putHistory, walInventory } from '../repository/wal-objects.ts'
import { readSegmentBestEffort } from '../repository/wal-segment-best-effort.ts'
import { Fault, isFault } from '../std/fault.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import type { Lsn } from '../wal/core/lsn.ts'
import { firstTimelineHistory, formatTimelineHistory, timelineAt, timelinePath } from '../wal/core/timeline-history.ts'
import type { TimelineHistory, TimelineStretch } from '../wal/core/timeline-history.ts'
import { pointAt, resumePoint } from './core/resume-point.ts'
import type { ResumePoint } from './core/resume-point.ts'
import { archiveFaults } from './faults.ts'
import { parseHistory, readHistory } from './server-history.ts'

export interface Location {
  readonly point: ResumePoint
  readonly segmentBytes: number
  readonly serverLsn: Lsn
  readonly systemIdentifier: bigint
  /** The way to the server's timeline. */
  readonly path: readonly TimelineStretch[]
  /** What the repository already has of the point's segment. */
  readonly stored: { readonly bytes: Uint8Array; readonly parts: readonly TailName[] }
}

export interface LocateOptions {
  readonly repository: Repository
  readonly cluster: string
  readonly slot: string
  readonly signal: AbortSignal
}

/**
 * Finds out where the archive goes on at this server: checks that it is the right cluster, stores the history files of
 * its timelines, makes the slot where there is none, and looks how far the repository is. Nothing stored yet: the slot
 * says where it begins.
 */
export async function locate(connection: ReplicationConnection, options: LocateOptions): Promise<Location> {
  const { repository, cluster, signal } = options
  const identity = await connection.identifySystem()
  const segmentBytes = await connection.walSegmentBytes()
  await claimCluster(
    repository,
    { cluster, systemIdentifier: identity.systemIdentifier, walSegmentBytes: segmentBytes },
    { signal },
  )
  const inventory = await walInventory(repository, cluster, { signal })
  const history = await storeHistories(connection, identity, inventory, options)
  await removeSuperseded(inventory, segmentBytes, options)
  const path = timelinePath(history)
  const slotLsn = await ensureSlot(connection, options.slot)
  const point =
    resumePoint(inventory, path, segmentBytes) ??
    startOfSegment(pointAt(timelineAt(history, slotLsn), slotLsn, segmentBytes))
  if (point.timeline === identity.timeline && point.durableLsn > identity.flushLsn) throw serverBehind(point, identity)
  return {
    point,
    segmentBytes,
    serverLsn: identity.flushLsn,
    systemIdentifier: identity.systemIdentifier,
    path,
    stored: await storedBeginning(inventory, point, segmentBytes, options),
  }
}

/**
 * The oldest WAL that the server certainly still has, when it no longer has what is wanted: where a slot made anew
 * begins. What lies between is lost to the archive.
 */
export async function locateOldest(
  connection: ReplicationConnection,
  slot: string,
  wanted: ResumePoint,
  segmentBytes: number,
): Promise<ResumePoint> {
  const identity = await connection.identifySystem()
  let slotLsn = (await connection.readSlot(slot))?.restartLsn ?? undefined
  if (slotLsn === undefined || slotLsn <= wanted.segmentStart + BigInt(segmentBytes)) {
    await connection.dropSlot(slot)
    slotLsn = await ensureSlot(connection, slot)
  }
  const history = await readHistory(connection, identity)
  return startOfSegment(pointAt(timelineAt(history, slotLsn), slotLsn, segmentBytes))
}

function startOfSegment(point: ResumePoint): ResumePoint {
  return { ...point, durableLsn: point.segmentStart }
}

/** Stores the history file of the server's timeline and those of its ancestors, which are the beginnings of it. */
async function storeHistories(
  connection: ReplicationConnection,
  identity: SystemIdentity,
  inventory: WalInventory,
  { repository, cluster, signal }: LocateOptions,
): Promise<TimelineHistory> {
  if (identity.timeline === 1) return firstTimelineHistory()
  const { content } = await connection.timelineHistory(identity.timeline)
  const history = parseHistory(identity, content)
  for (const [index, { timeline }] of history.ancestors.entries()) {
    if (timeline === 1 || inventory.histories.includes(timeline)) continue
    const bytes = Buffer.from(formatTimelineHistory({ timeline, ancestors: history.ancestors.slice(0, index) }))
    await putHistory(repository, { cluster, timeline, bytes }, { signal })
  }
  await putHistory(repository, { cluster, timeline: identity.timeline, bytes: content }, { signal })
  return history
}

/** Removes tail parts whose segment is stored: an archiver that was killed in between has left them. */
async function removeSuperseded(
  { segments, tails }: WalInventory,
  segmentBytes: number,
  { repository, cluster, signal }: LocateOptions,
): Promise<void> {
  const stored = new Set(segments.map(({ name }) => name))
  for (const tail of tails) {
    if (!stored.has(segmentNameAt(tail.timeline, tail.startLsn, segmentBytes))) continue
    await deleteTail(repository, { cluster, ...tail }, { signal })
  }
}

/** Where the slot keeps WAL from. One that is not there, or keeps none (it lost what it kept), is made anew. */
async function ensureSlot(connection: ReplicationConnection, slot: string): Promise<Lsn> {
  const state = await connection.readSlot(slot)
  if (state !== undefined && state.restartLsn !== null) return state.restartLsn
  if (state !== undefined) await connection.dropSlot(slot)
  await connection.createPhysicalSlot(slot, { reserveWal: true })
  const made = await connection.readSlot(slot)
  const keeps = made?.restartLsn ?? undefined
  if (keeps !== undefined) return keeps
  throw new Fault(
    replicationFaults['postgres-slot-missing'],
    `Cannot archive: the slot ${slot} was made and keeps no WAL`,
  )
}

async function storedBeginning(
  inventory: WalInventory,
  point: ResumePoint,
  segmentBytes: number,
  { repository, cluster, signal }: LocateOptions,
): Promise<Location['stored']> {
  const { timeline, segmentStart: startLsn } = point
  if (point.durableLsn === startLsn) return { bytes: new Uint8Array(0), parts: [] }
  const segment = { timeline, startLsn, endLsn: (startLsn + BigInt(segmentBytes)) as Lsn }
  const parts = inventory.tails.filter(
    (tail) => tail.timeline === timeline && tail.startLsn >= startLsn && tail.endLsn <= segment.endLsn,
  )
  const wanted = { cluster, timeline, startLsn, walSegmentBytes: segmentBytes }
  try {
    const content = await readSegmentBestEffort(repository, wanted, { signal })
    return { bytes: content?.bytes ?? new Uint8Array(0), parts }
  } catch (error) {
    if (!(error instanceof Fault) || !isObjectFault(error)) throw error
    // A part that is damaged is as good as none: the segment is stored again from its start, under another name.
    return { bytes: new Uint8Array(0), parts }
  }
}

function serverBehind(point: ResumePoint, identity: SystemIdentity): Fault {
  const [stored, server] = [formatLsn(point.durableLsn), formatLsn(identity.flushLsn)]
  return new Fault(
    archiveFaults['archive-server-behind'],
    `Cannot archive timeline ${point.timeline} yet: the repository has it up to ${stored}, the server only up to ${server}`,
    { details: { timeline: point.timeline, repositoryLsn: stored, serverLsn: server } },
  )
}

/** True for the server's answer that it has removed the wanted WAL. */
export function isWalRemoved(error: unknown): boolean {
  return isFault(error, replicationFaults['postgres-wal-removed'])
}
