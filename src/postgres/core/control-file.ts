import { crc32cFinish, crc32cStart, crc32cUpdate } from '../../wal/core/crc32c.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/** What a server writes into `global/pg_control` about itself. Source: ControlFileData in pg_control.h. */
export interface ControlFile {
  readonly systemIdentifier: bigint
  readonly majorVersion: number
  readonly catalogVersion: number
  readonly state: ControlState
  /** Seconds since 1970 of the last change of this file. */
  readonly changedAtSeconds: number
  readonly checkpointLsn: Lsn
  /** Where recovery would begin. */
  readonly redoLsn: Lsn
  readonly timeline: TimelineId
  /** The timeline before, right after a promotion; else the same. */
  readonly previousTimeline: TimelineId
  readonly fullPageWrites: boolean
  /** The next transaction's number, with its epoch in the upper half. */
  readonly nextTransaction: bigint
  readonly checkpointAtSeconds: number
  /** A standby has to replay at least this far to be consistent; 0 on a primary. */
  readonly minRecoveryLsn: Lsn
  readonly minRecoveryTimeline: TimelineId
  /** Set while a restored backup has not been replayed to its end. */
  readonly backupStartLsn: Lsn
  readonly backupEndLsn: Lsn
  readonly backupEndRequired: boolean
  readonly walLevel: 'minimal' | 'replica' | 'logical'
  readonly walLogHints: boolean
  readonly maxConnections: number
  readonly maxWorkerProcesses: number
  readonly maxWalSenders: number
  readonly maxPreparedTransactions: number
  readonly maxLocksPerTransaction: number
  readonly pageBytes: number
  readonly segmentPages: number
  readonly walPageBytes: number
  readonly walSegmentBytes: number
  readonly dataChecksums: boolean
}

const states = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
] as const

export type ControlState = (typeof states)[number]

const walLevels = ['minimal', 'replica', 'logical'] as const

/** Formats with the place of their checksum; everything Holdfast reads lies in the same place in all of them. */
const checksumOffsets: Readonly<Record<number, number>> = { 1300: 288, 1700: 288, 1800: 292 }

/** Catalogue versions of the supported releases: they alone tell 15, 16 and 17 apart in this file. */
const majorsByCatalogVersion: Readonly<Record<number, number>> = {
  202209061: 15,
  202307071: 16,
  202406281: 17,
  202506291: 18,
}

const floatCheckOffset = 208
const floatCheck = 1234567

/** Reads the bytes of `global/pg_control`; `corrupt` says why they cannot be trusted. */
export function parseControlFile(
  bytes: Uint8Array,
): { readonly control: ControlFile } | { readonly corrupt: string; readonly unsupported?: true } {
  if (bytes.length < 512) return { corrupt: `it has ${bytes.length} bytes instead of 8192` }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(8, true)
  const catalogVersion = view.getUint32(12, true)
  const checksumOffset = checksumOffsets[version]
  if (checksumOffset === undefined) {
    // Servers have had formats of this range for twenty years; anything else is no control file.
    if (version < 800 || version > 9999) return { corrupt: 'it is no control file' }
    return { corrupt: `its format ${version} is not known`, unsupported: true }
  }
  const checksum = crc32cFinish(crc32cUpdate(crc32cStart, bytes, 0, checksumOffset))
  if (checksum !== view.getUint32(checksumOffset, true)) return { corrupt: 'its checksum is wrong' }
  if (view.getFloat64(floatCheckOffset, true) !== floatCheck)
    return { corrupt: 'it was written by another architecture' }
  const majorVersion = majorsByCatalogVersion[catalogVersion]
  if (majorVersion === undefined) {
    return { corrupt: `its catalogue version ${catalogVersion} is of no supported release`, unsupported: true }
  }
  const state = states[view.getUint32(16, true)]
  const walLevel = walLevels[view.getUint32(172, true)]
  if (state === undefined || walLevel === undefined) return { corrupt: 'it names a state that does not exist' }
  return { control: { ...readFields(view), majorVersion, catalogVersion, state, walLevel } }
}

function readFields(view: DataView): Omit<ControlFile, 'majorVersion' | 'catalogVersion' | 'state' | 'walLevel'> {
  const lsn = (offset: number): Lsn => view.getBigUint64(offset, true) as Lsn
  const timeline = (offset: number): TimelineId => view.getUint32(offset, true) as TimelineId
  const integer = (offset: number): number => view.getUint32(offset, true)
  const flag = (offset: number): boolean => view.getUint8(offset) !== 0
  const seconds = (offset: number): number => Number(view.getBigInt64(offset, true))
  return {
    systemIdentifier: view.getBigUint64(0, true),
    changedAtSeconds: seconds(24),
    checkpointLsn: lsn(32),
    redoLsn: lsn(40),
    timeline: timeline(48),
    previousTimeline: timeline(52),
    fullPageWrites: flag(56),
    nextTransaction: view.getBigUint64(64, true),
    checkpointAtSeconds: seconds(104),
    minRecoveryLsn: lsn(136),
    minRecoveryTimeline: timeline(144),
    backupStartLsn: lsn(152),
    backupEndLsn: lsn(160),
    backupEndRequired: flag(168),
    walLogHints: flag(176),
    maxConnections: integer(180),
    maxWorkerProcesses: integer(184),
    maxWalSenders: integer(188),
    maxPreparedTransactions: integer(192),
    maxLocksPerTransaction: integer(196),
    pageBytes: integer(216),
    segmentPages: integer(220),
    walPageBytes: integer(224),
    walSegmentBytes: integer(228),
    dataChecksums: integer(252) !== 0,
  }
}
