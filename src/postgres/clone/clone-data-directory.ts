import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { diskFault, syncDirectory, writeFileDurably } from '../../std/durable-file.ts'
import { Fault } from '../../std/fault.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { describeTarget, type ConnectionTarget } from '../connection-target.ts'
import { postgresFaults } from '../faults.ts'
import type { BaseBackupPart } from '../replication/base-backup.ts'
import { openReplicationConnection } from '../replication/replication-connection.ts'
import { createArchiveExtractor, type ArchiveExtractor } from './archive-extractor.ts'
import { compareWithManifest, parseManifest, splitManifest } from './core/backup-manifest.ts'
import { cloneFaults } from './faults.ts'
import { createFileWriter, type FileWriter } from './file-writer.ts'
import { releaseSlot, requireSlotBefore, reserveSlot, type ReservedSlot } from './reserved-slot.ts'
import { linkTarget, outsideOf, placeOf, tablespacePlaces } from './core/tablespace-place.ts'
import { clearUnfinishedClone, finishClone, prepareDirectory, prepareTablespaces } from './unfinished-clone.ts'

export interface CloneProgress {
  readonly receivedBytes: number
  /** The server's estimate. */
  readonly totalBytes: number
}

export interface CloneOptions {
  /** Where tablespaces go, by their location on the server; the same location when not named. */
  readonly tablespaceMap?: ReadonlyMap<string, string> | undefined
  /** The slot the standby will use; made before the backup starts, so that no WAL is lost until it does. */
  readonly slot?: string | undefined
  /** Refuses to clone from a server of another cluster. */
  readonly systemIdentifier?: bigint | undefined
  readonly checkpoint?: 'fast' | 'spread'
  readonly maxRateKilobytesPerSecond?: number | undefined
  readonly onProgress?: ((progress: CloneProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CloneResult {
  readonly systemIdentifier: bigint
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  /** The clone is consistent once it has replayed up to here. */
  readonly endLsn: Lsn
  readonly fileCount: number
  readonly sizeBytes: number
}

/**
 * Makes the data directory of a standby from a running server: everything of a base backup, verified against its
 * manifest and durable, with `backup_label` and an empty `standby.signal` (so that it can only ever start as a standby).
 * How it connects to its primary is left to whoever starts it. A failure or an abort leaves the directory empty; a crash
 * leaves it marked as unfinished (see `unfinished-clone.ts`), and the next attempt clears it.
 */
export async function cloneDataDirectory(
  target: ConnectionTarget,
  dataDirectory: string,
  options: CloneOptions = {},
): Promise<CloneResult> {
  await using connection = await openReplicationConnection(target, { signal: options.signal })
  const { systemIdentifier } = await connection.identifySystem()
  if (options.systemIdentifier !== undefined && options.systemIdentifier !== systemIdentifier) {
    throw new Fault(
      cloneFaults['postgres-clone-foreign-system'],
      `Cannot clone ${describeTarget(target)}: its system identifier is ${systemIdentifier} instead of ${options.systemIdentifier}`,
    )
  }
  let prepared = false
  let slot: ReservedSlot | undefined
  try {
    await prepareDirectory(dataDirectory)
    prepared = true
    if (options.slot !== undefined) slot = await reserveSlot(connection, options.slot)
    const parts = connection.baseBackup({
      label: 'holdfast clone',
      checkpoint: options.checkpoint ?? 'fast',
      progress: true,
      maxRateKilobytesPerSecond: options.maxRateKilobytesPerSecond,
    })
    return { systemIdentifier, ...(await receiveClone(parts, dataDirectory, { ...options, systemIdentifier, slot })) }
  } catch (error) {
    // What cannot be removed now stays marked as unfinished; why the clone failed is what the operator needs to know.
    if (prepared) await clearUnfinishedClone(dataDirectory).catch(() => undefined)
    if (slot?.created === true) await releaseSlot(target, slot.name)
    throw cloneFault(error, target, dataDirectory)
  }
}

interface ReceiveOptions extends Omit<CloneOptions, 'slot'> {
  readonly systemIdentifier: bigint
  readonly slot: ReservedSlot | undefined
}

async function receiveClone(
  parts: AsyncIterable<BaseBackupPart>,
  dataDirectory: string,
  options: ReceiveOptions,
): Promise<Omit<CloneResult, 'systemIdentifier'>> {
  const writer = createFileWriter()
  try {
    const received = await receiveParts(parts, dataDirectory, writer, options)
    await writer.drain()
    const { extractor, manifest, tablespaces, ...positions } = received
    verifyClone(manifest, extractor, options.systemIdentifier)
    await writeFileDurably(join(dataDirectory, 'backup_manifest'), manifest)
    await writeFileDurably(join(dataDirectory, 'standby.signal'), '')
    for (const directory of [...extractor.directories, ...tablespaces.map(dirname), dirname(dataDirectory)]) {
      await syncDirectory(directory)
    }
    options.signal?.throwIfAborted()
    await writeFileDurably(join(dataDirectory, 'global', 'pg_control'), extractor.controlFile())
    await finishClone(dataDirectory)
    const sizeBytes = extractor.files.values().reduce((sum, file) => sum + file.sizeBytes, 0)
    return { ...positions, fileCount: extractor.files.size, sizeBytes }
  } catch (error) {
    await writer.abandon()
    throw error
  }
}

interface Received {
  readonly extractor: ArchiveExtractor
  readonly manifest: Uint8Array
  readonly tablespaces: readonly string[]
  readonly startLsn: Lsn
  readonly endLsn: Lsn
  readonly timeline: TimelineId
}

async function receiveParts(
  parts: AsyncIterable<BaseBackupPart>,
  dataDirectory: string,
  writer: FileWriter,
  options: ReceiveOptions,
): Promise<Received> {
  let places = tablespacePlaces([], dataDirectory, options.tablespaceMap)
  const extractor = createArchiveExtractor(writer, (path) => linkTarget(places, path))
  const manifest: Uint8Array[] = []
  let inManifest = false
  let start: Extract<BaseBackupPart, { kind: 'start' }> | undefined
  let totalBytes = 0
  let receivedBytes = 0
  for await (const part of parts) {
    switch (part.kind) {
      case 'start':
        start = part
        requireSlotBefore(options.slot, part.startLsn)
        places = tablespacePlaces(part.tablespaces, dataDirectory, options.tablespaceMap)
        await prepareTablespaces(dataDirectory, outsideOf(places))
        totalBytes = part.tablespaces.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0)
        break
      case 'archive':
        extractor.endArchive()
        extractor.beginArchive(placeOf(places, part.name))
        break
      case 'manifest':
        extractor.endArchive()
        inManifest = true
        break
      case 'data':
        if (inManifest) manifest.push(part.data)
        else await extractor.write(part.data)
        receivedBytes += part.data.length
        options.onProgress?.({ receivedBytes, totalBytes: Math.max(totalBytes, receivedBytes) })
        break
      case 'progress':
        break
      case 'end': {
        if (start?.timeline !== part.timeline) throw new RangeError('the timeline changed during the backup')
        const tablespaces = outsideOf(places)
        const { startLsn, timeline } = start
        return { extractor, manifest: Buffer.concat(manifest), tablespaces, startLsn, timeline, endLsn: part.endLsn }
      }
      default:
        part satisfies never
    }
  }
  throw new RangeError('the backup stopped before its end')
}

function verifyClone(manifest: Uint8Array, extractor: ArchiveExtractor, systemIdentifier: bigint): void {
  const { covered, sha256 } = splitManifest(manifest)
  if (createHash('sha256').update(covered).digest('hex') !== sha256) {
    throw new RangeError('the manifest has a wrong checksum')
  }
  const parsed = parseManifest(manifest)
  const differences = compareWithManifest(parsed, extractor.files)
  if (differences.length > 0) {
    throw new RangeError(`${differences.length} files differ from the manifest: ${differences.slice(0, 5).join('; ')}`)
  }
  const control = extractor.controlFile()
  const found = new DataView(control.buffer, control.byteOffset).getBigUint64(0, true)
  if (found !== systemIdentifier || (parsed.systemIdentifier ?? found) !== found) {
    throw new RangeError(`the backup is of the system ${found} instead of ${systemIdentifier}`)
  }
}

function cloneFault(error: unknown, target: ConnectionTarget, dataDirectory: string): unknown {
  const doing = `clone ${describeTarget(target)} into ${dataDirectory}`
  if (error instanceof RangeError || error instanceof SyntaxError) {
    return new Fault(cloneFaults['postgres-clone-damaged'], `Cannot ${doing}: ${error.message}`, { cause: error })
  }
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (!(error instanceof Fault) && ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code)) {
    const message = `Cannot ${doing}: ${(error as Error).message}`
    return new Fault(postgresFaults['postgres-directory-unusable'], message, { cause: error })
  }
  return diskFault(error, dataDirectory)
}
