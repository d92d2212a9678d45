import assert from 'node:assert/strict'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { fetchWalFile, storedCluster } from '../../../src/archive/command/fetch-file.ts'
import { placeFile } from '../../../src/archive/command/place-file.ts'
import { pushWalFile } from '../../../src/archive/command/push-file.ts'
import { archiveFaults } from '../../../src/archive/faults.ts'
import { recordGap } from '../../../src/repository/gaps.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { createRepository } from '../../../src/repository/repository.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { putTail, readOddWalFile, walInventory } from '../../../src/repository/wal-objects.ts'
import { startWalThreads } from '../../../src/repository/wal-threads.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import { segmentNameAt, segmentStart } from '../../../src/repository/core/object-names.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { failNthOperation, forEveryFailure } from '../../contract/fail-nth-operation.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { createTestServer } from '../../support/postgres.ts'
import { cluster, currentLsn, durableEnd, openArchiveScene, startArchiver } from './archive-scene.ts'
import { backUp, restore, rowsOf } from '../restore/restore-scene.ts'
import { finishSegment } from './command-scene.ts'

const timeline = 1 as TimelineId
const segmentBytes = 2 ** 20

async function repositoryIn(objects: Map<string, Uint8Array>): Promise<Repository> {
  return createRepository(memoryStore(objects), { passphrase: new Secret('x'), clock: systemClock })
}

/** A stopped server, and the paths of the last three segments that it finished, the first of which are older. */
async function finishedSegments(): Promise<
  AsyncDisposable & { dataDirectory: string; paths: string[]; other: string }
> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await createTestServer({ walSegmentBytes: segmentBytes }))
  const { dataDirectory } = server
  const paths: string[] = []
  {
    await using sql = await server.sql()
    await sql.query('CREATE TABLE t (x int)')
    for (let round = 0; round < 3; round += 1) {
      await sql.query('INSERT INTO t SELECT generate_series(1, 100)')
      paths.push(join(dataDirectory, 'pg_wal', await finishSegment(sql)))
    }
  }
  await server.stop()
  const other = join(server.directory, 'other')
  await mkdir(join(other, 'pg_wal'), { recursive: true })
  await cp(join(dataDirectory, 'global'), join(other, 'global'), { recursive: true })
  const owned = stack.move()
  return { dataDirectory, paths, other, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('files of archive_command: stored as what they are, once, and nothing else under their names', async () => {
  await using server = await finishedSegments()
  const { dataDirectory, other } = server
  const [first = '', second = '', third = ''] = server.paths
  const objects = new Map<string, Uint8Array>()
  const repository = await repositoryIn(objects)
  await using threads = startWalThreads(repository, 2)
  const push = (path: string, from = dataDirectory): Promise<string> =>
    pushWalFile({ repository, cluster, path, dataDirectory: from }, { threads })
  const write = async (name: string, content: string | Uint8Array, from = other): Promise<string> => {
    await writeFile(join(from, 'pg_wal', name), content)
    return join(from, 'pg_wal', name)
  }
  const bytes = await readFile(first)
  const name = basename(first)

  assert.equal(await push(await write(`${name}.partial`, bytes), other), 'created')
  assert.deepEqual((await walInventory(repository, cluster)).segments, [], 'a partial segment is not the segment')
  assert.deepEqual(await readOddWalFile(repository, { cluster, name: `${name}.partial` }), bytes)
  assert.equal(await push(first), 'created')
  assert.equal(await push(first), 'identical')
  assert.equal(await push(await write(`${name}.00000028.backup`, 'START WAL LOCATION\n'), other), 'created')
  assert.equal(
    await push(await write('00000003.history', '1\t0/500000\tbefore\n\n2\t0/600000\tafter\n'), other),
    'created',
  )
  const sameInOtherWords = '1\t0/500000\t\n2\t0/600000\t\n'
  assert.equal(await push(await write('00000003.history', sameInOtherWords), other), 'identical')

  const conflict = (error: unknown): boolean =>
    isFault(error, repositoryFaults['repository-wal-conflict']) &&
    error instanceof Error &&
    error.message.includes(other) &&
    error.message.includes('memory')
  const changed = Buffer.from(bytes)
  changed[50_000] = (changed[50_000] ?? 0) ^ 1
  await assert.rejects(push(await write(name, changed), other), conflict)
  await assert.rejects(push(await write('00000003.history', '1\t0/500000\tx\n\n2\t0/700000\ty\n'), other), conflict)
  await assert.rejects(push(await write(`${name}.00000028.backup`, 'another\n'), other), conflict)
  // What was streamed of it counts before the whole is there.
  const startLsn = segmentStart(basename(second), segmentBytes)
  const tail = { timeline, startLsn, endLsn: (startLsn + 9000n) as Lsn }
  await putTail(repository, { cluster, ...tail, bytes: (await readFile(second)).subarray(0, 9000) })
  const clone = await readFile(second)
  clone[8500] = (clone[8500] ?? 0) ^ 1
  await assert.rejects(push(await write(basename(second), clone), other), conflict)
  assert.equal(await push(second), 'created')

  const invalid = (error: unknown): boolean => isFault(error, archiveFaults['archive-file-invalid'])
  await assert.rejects(push(await write(basename(third), bytes), other), invalid, 'of another place')
  await assert.rejects(push(await write(basename(third), bytes.subarray(0, 8192)), other), invalid)
  await assert.rejects(push(await write(basename(third), new Uint8Array(segmentBytes)), other), invalid)
  await assert.rejects(push(await write('00000004.history', 'not a history'), other), invalid)
  await assert.rejects(push(await write('nonsense', ''), other), (error) =>
    isFault(error, archiveFaults['archive-file-unknown']),
  )
  const foreign = await createTestServer({ walSegmentBytes: segmentBytes })
  await using _foreign = foreign
  {
    await using sql = await foreign.sql()
    const theirs = join(foreign.dataDirectory, 'pg_wal', await finishSegment(sql))
    await assert.rejects(push(theirs, foreign.dataDirectory), (error) =>
      isFault(error, repositoryFaults['repository-cluster-mismatch']),
    )
  }
})

test('whatever the store does, a push that ended well is stored and no file that is there is called absent', async () => {
  await using server = await finishedSegments()
  const { dataDirectory } = server
  const [first = '', second = '', third = ''] = server.paths
  const [name, whole] = [basename(first), await readFile(first)]
  const attempts = await forEveryFailure(async (n, moment) => {
    const objects = new Map<string, Uint8Array>()
    const repository = await repositoryIn(objects)
    const store = failNthOperation(repository.store, n, moment)
    const request = { cluster, path: first, dataDirectory }
    const outcome = await pushWalFile({ ...request, repository: { ...repository, store } }).catch(() => 'failed')
    const again = await pushWalFile({ ...request, repository })
    if (outcome !== 'failed') assert.equal(again, 'identical')
    const identity = await storedCluster({ repository, cluster })
    const fetched = await fetchWalFile({ repository, cluster, identity, name, mode: 'recovery' })
    assert.ok(fetched.kind === 'file' && Buffer.compare(fetched.bytes, whole) === 0)
    return store
  })
  assert.ok(attempts > 4)

  const repository = await repositoryIn(new Map())
  for (const path of [first, third]) await pushWalFile({ repository, cluster, path, dataDirectory })
  const identity = await storedCluster({ repository, cluster })
  const startLsn = segmentStart(basename(third), segmentBytes)
  const next = (startLsn + BigInt(segmentBytes)) as Lsn
  const tail = { cluster, timeline, startLsn: next, endLsn: (next + 100n) as Lsn }
  await putTail(repository, { ...tail, bytes: new Uint8Array(100).fill(7) })
  const unfinished = segmentNameAt(timeline, next, segmentBytes)
  const missing = segmentNameAt(timeline, (next + BigInt(segmentBytes)) as Lsn, segmentBytes)
  for (const wanted of [name, unfinished, missing]) {
    await forEveryFailure(async (n, moment) => {
      const store = failNthOperation(repository.store, n, moment)
      const request = {
        repository: { ...repository, store },
        cluster,
        identity,
        name: wanted,
        mode: 'recovery',
      } as const
      const fetched = await fetchWalFile(request).catch(() => undefined)
      if (fetched !== undefined) assert.equal(fetched.kind, wanted === missing ? 'absent' : 'file', wanted)
      return store
    })
  }
  const fetch = (wanted: string, mode: 'recovery' | 'standby' = 'recovery') =>
    fetchWalFile({ repository, cluster, identity, name: wanted, mode })
  const begun = await fetch(unfinished)
  assert.ok(begun.kind === 'file' && !begun.whole && begun.bytes.length === segmentBytes)
  assert.deepEqual([begun.bytes[99], begun.bytes[100]], [7, 0])
  assert.equal((await fetch(unfinished, 'standby')).kind, 'absent', 'a standby gets it when it is whole')
  const gap = (error: unknown): boolean => isFault(error, archiveFaults['archive-wal-gap'])
  await assert.rejects(fetch(basename(second)), gap, 'WAL lies behind it')
  assert.equal((await fetch('000000020000000000000001')).kind, 'absent')
  await pushWalFile({ repository, cluster, path: second, dataDirectory })
  assert.equal((await fetch(basename(second))).kind, 'file')
  const range = {
    timeline,
    fromTimeline: timeline,
    startLsn: tail.endLsn,
    endLsn: (next + 4n * BigInt(segmentBytes)) as Lsn,
  }
  await recordGap(repository, cluster, { ...range, foundAt: 0 as EpochMs, because: 'nobody had it' })
  await assert.rejects(fetch(missing), gap, 'it is on record as lost')
  const never = await fetch('00000002.history')
  assert.equal(never.kind, 'absent')
  const history = join(server.other, 'pg_wal', '00000003.history')
  await writeFile(history, '1\t0/500000\tbefore\n')
  await pushWalFile({ repository, cluster, path: history, dataDirectory: server.other })
  const skipped = await fetch('00000002.history')
  assert.ok(skipped.kind === 'file' && Buffer.from(skipped.bytes).toString().startsWith('#'), 'PostgreSQL goes on to 3')

  const place = join(server.other, 'RECOVERYXLOG')
  await writeFile(`${place}.holdfast`, 'half of a file that a crash left')
  await placeFile(place, whole)
  assert.deepEqual(await readFile(place), whole)
  await writeFile(join(server.other, 'early'), 'x')
  await placeFile(place, { moveFrom: join(server.other, 'early') })
  assert.equal(await readFile(place, 'utf8'), 'x')
})

test(
  'segments of 64 MiB are streamed, pushed, fetched and replayed like any others',
  { timeout: 120_000 },
  async () => {
    const bytes = 64 * 2 ** 20
    await using scene = await openArchiveScene({ walSegmentBytes: bytes, parameters: { max_wal_size: '512MB' } })
    const { server, repository } = scene
    const { dataDirectory } = server
    await using sql = await server.sql()
    await sql.query('CREATE TABLE t (x int)')
    await using archiver = startArchiver(scene)
    await backUp(scene)
    await sql.query('INSERT INTO t VALUES (1)')
    const name = await finishSegment(sql)
    await sql.query('INSERT INTO t VALUES (2)')
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
    assert.ok((await durableEnd(scene, 1, bytes)) >= lsn)
    const path = join(dataDirectory, 'pg_wal', name)
    assert.equal(await pushWalFile({ repository, cluster, path, dataDirectory }), 'identical')
    const identity = await storedCluster({ repository, cluster })
    const fetched = await fetchWalFile({ repository, cluster, identity, name, mode: 'recovery' })
    assert.ok(fetched.kind === 'file' && Buffer.compare(fetched.bytes, await readFile(path)) === 0)
    await using recovered = await restore(scene, { kind: 'latest' })
    assert.deepEqual(await rowsOf(recovered), ['1', '2'])
  },
)
