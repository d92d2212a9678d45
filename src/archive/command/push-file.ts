import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { readControlFile } from '../../postgres/control-file.ts'
import { claimCluster } from '../../repository/cluster-identity.ts'
import { parseTailName, segmentNameAt, tailsPrefix } from '../../repository/core/object-names.ts'
import type { TailName } from '../../repository/core/object-names.ts'
import { contiguousTail } from '../../repository/core/wal-coverage.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import type { Repository } from '../../repository/repository.ts'
import type { WalOptions } from '../../repository/wal-objects.ts'
import { putBackupLabel, putHistory, putPartialSegment, putWalSegment, readTail } from '../../repository/wal-objects.ts'
import { Fault, isFault } from '../../std/fault.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { longHeaderBytes, parsePageHeader } from '../../wal/core/page-header.ts'
import { classifyWalFile, isSegmentSize, segmentStart } from '../../wal/core/segment.ts'
import type { WalFile } from '../../wal/core/segment.ts'
import { parseTimelineHistory } from '../../wal/core/timeline-history.ts'
import { archiveFaults } from '../faults.ts'

export interface PushRequest {
  readonly repository: Repository
  readonly cluster: string
  /** The file as PostgreSQL named it, absolute. */
  readonly path: string
  /** The server's; its control file says whose WAL this is. */
  readonly dataDirectory: string
}

/**
 * Stores one file that `archive_command` was called for. When this resolves the repository has it durably: `identical` when
 * it had it before. A file that differs from what is stored under its name is refused, and nothing is changed: then two
 * servers write the same history, a clone for instance that still archives where its original does.
 */
export async function pushWalFile(request: PushRequest, options: WalOptions = {}): Promise<'created' | 'identical'> {
  const { repository, cluster, path, dataDirectory } = request
  const control = await readControlFile(dataDirectory)
  const name = basename(path)
  const file = classifyWalFile(name, control.walSegmentBytes)
  if (file === undefined) throw unknownFile(path)
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw invalidFile(path, `it cannot be read (${cause.code ?? cause.message})`, cause)
  })
  const whole = file.kind === 'segment' || file.kind === 'partial'
  if (whole) checkSegment(path, bytes, file, control)
  await claimCluster(repository, { cluster, ...control }, options)
  try {
    switch (file.kind) {
      case 'segment':
        await compareWithTail(request, file, bytes, options)
        return await putWalSegment(repository, { cluster, name, bytes }, options)
      case 'partial':
        return await putPartialSegment(repository, { cluster, name, bytes }, options)
      case 'history':
        checkHistory(path, bytes, file)
        return await putHistory(repository, { cluster, timeline: file.timeline, bytes }, options)
      case 'backup':
        return await putBackupLabel(repository, { cluster, name, bytes }, options)
      default:
        return file satisfies never
    }
  } catch (error) {
    if (isFault(error, repositoryFaults['repository-wal-conflict'])) throw conflict(request, error)
    throw error
  }
}

interface Owner {
  readonly systemIdentifier: bigint
  readonly walSegmentBytes: number
}

/** A file that is not what its name says must not be stored for ever under that name. */
function checkSegment(
  path: string,
  bytes: Uint8Array,
  file: Extract<WalFile, { kind: 'segment' | 'partial' }>,
  owner: Owner,
): void {
  if (bytes.length !== owner.walSegmentBytes || !isSegmentSize(bytes.length)) {
    throw invalidFile(path, `it has ${bytes.length} bytes, and a segment of this server ${owner.walSegmentBytes}`)
  }
  const header = parsePageHeader(bytes.subarray(0, longHeaderBytes))
  if (header?.segment === undefined) throw invalidFile(path, 'it does not begin as a segment does')
  const { systemIdentifier, segmentBytes } = header.segment
  if (systemIdentifier !== owner.systemIdentifier || segmentBytes !== owner.walSegmentBytes) {
    throw invalidFile(path, `it was written by the cluster ${systemIdentifier}, not by ${owner.systemIdentifier}`)
  }
  const startLsn = segmentStart(file.segment, owner.walSegmentBytes)
  if (header.lsn !== startLsn || header.timeline > file.timeline) {
    throw invalidFile(path, 'it holds WAL of another place than its name says')
  }
}

function checkHistory(path: string, bytes: Uint8Array, { timeline }: Extract<WalFile, { kind: 'history' }>): void {
  const parsed = parseTimelineHistory(timeline, Buffer.from(bytes).toString('utf8'))
  if ('malformed' in parsed) throw invalidFile(path, parsed.malformed)
}

/** What an archiver has streamed of the segment so far counts as much as the whole one would. */
async function compareWithTail(
  { repository, cluster, path, dataDirectory }: PushRequest,
  { timeline, segment }: Extract<WalFile, { kind: 'segment' }>,
  bytes: Uint8Array,
  options: WalOptions,
): Promise<void> {
  const startLsn = segmentStart(segment, bytes.length)
  const range = { timeline, startLsn, endLsn: (startLsn + BigInt(bytes.length)) as Lsn }
  for (const part of contiguousTail(await tailsOf(repository, cluster, timeline, options), range)) {
    const stored = await readTail(repository, { cluster, ...part.tail }, options).catch((error: unknown) => {
      // The archiver has completed the segment: storing it finds out.
      if (isFault(error, repositoryFaults['repository-wal-missing'])) return undefined
      throw error
    })
    if (stored === undefined) return
    const own = bytes.subarray(Number(part.tail.startLsn - startLsn), Number(part.tail.endLsn - startLsn))
    if (Buffer.compare(stored, own) === 0) continue
    const name = segmentNameAt(timeline, startLsn, bytes.length)
    throw conflict(
      { repository, path, dataDirectory },
      `the repository has another beginning of segment ${name}, which was streamed from another server`,
    )
  }
}

async function tailsOf(
  repository: Repository,
  cluster: string,
  timeline: number,
  options: WalOptions,
): Promise<readonly TailName[]> {
  const all = tailsPrefix(cluster)
  const prefix = `${all}${timeline.toString(16).toUpperCase().padStart(8, '0')}/`
  const tails: TailName[] = []
  for await (const { key } of repository.store.list(prefix, options)) {
    const tail = parseTailName(key.slice(all.length))
    if (tail !== undefined) tails.push(tail)
  }
  return tails
}

function conflict(
  { repository, path, dataDirectory }: Pick<PushRequest, 'repository' | 'path' | 'dataDirectory'>,
  why: Fault | string,
): Fault {
  const { description } = repository.store
  const reason = typeof why === 'string' ? why : why.message.replace(/^Cannot store /, '')
  const message = `Cannot archive ${path} of the server in ${dataDirectory} into ${description}: ${reason}`
  return new Fault(repositoryFaults['repository-wal-conflict'], message, {
    details: { path, dataDirectory, store: description },
    cause: typeof why === 'string' ? undefined : why,
  })
}

function unknownFile(path: string): Fault {
  return new Fault(
    archiveFaults['archive-file-unknown'],
    `Cannot archive ${path}: no file of PostgreSQL's WAL is called like this`,
    { details: { path } },
  )
}

function invalidFile(path: string, reason: string, cause?: unknown): Fault {
  return new Fault(archiveFaults['archive-file-invalid'], `Cannot archive ${path}: ${reason}`, {
    details: { path },
    cause,
  })
}
