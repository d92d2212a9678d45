import assert from 'node:assert/strict'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { readControlFile } from '../../../src/postgres/control-file.ts'
import { startServer } from '../../../src/postgres/server.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { segmentNameAt, segmentObject } from '../../../src/repository/core/object-names.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import type { PlannedRestore } from '../../../src/restore/plan-from-repository.ts'
import { restoreFaults } from '../../../src/restore/faults.ts'
import { recover } from '../../../src/restore/recover.ts'
import type { RecoverOptions, Recovered } from '../../../src/restore/recover.ts'
import { runRestore } from '../../../src/restore/run-restore.ts'
import type { RestoreResult } from '../../../src/restore/run-restore.ts'
import { incompleteMarker } from '../../../src/restore/layout/restore-note.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Fault, isFault } from '../../../src/std/fault.ts'
import type { FaultKind } from '../../../src/std/fault.ts'
import { storeFaults } from '../../../src/store/faults.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { superuser } from '../../support/postgres.ts'
import { cluster, currentLsn, openArchiveScene, startArchiver } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'
import { backUp, plan, restore, rowsOf } from './restore-scene.ts'

// One server, one backup and some segments of WAL behind it serve all tests; each restores into a directory of its own.
let scene: ArchiveScene
let commit: Commit
let target: PlannedRestore
const middle = (): string => {
  const { plan: made } = target
  const piece = made.wal[3]
  assert.ok(piece !== undefined && made.wal.length > 4)
  return join(
    scene.repositoryRoot,
    segmentObject(cluster, segmentNameAt(piece.timeline, piece.segmentStart, made.segmentBytes)),
  )
}

before(async () => {
  scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  await using archiver = startArchiver(scene)
  await sql.query('CREATE TABLE t (x int)')
  commit = await backUp(scene)
  for (let x = 1; x <= 5; x += 1) {
    await sql.query('INSERT INTO t VALUES ($1)', [x])
    await sql.query('SELECT pg_switch_wal()')
  }
  const lsn = await currentLsn(sql)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  target = await plan(scene, { kind: 'latest' })
  await scene.server.stop()
})

after(() => scene[Symbol.asyncDispose]())

const wholeTable = ['1', '2', '3', '4', '5']

function is(kind: FaultKind, naming = ''): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFault(error, kind), `${kind.code} expected, not ${String(error)}`)
    assert.ok(error.message.includes(naming), error.message)
    assert.match(error.message, /^Cannot /)
    return true
  }
}

async function layOut(name: string, planned = target): Promise<string> {
  const targetDirectory = join(scene.server.directory, name)
  await runRestore(scene.repository, planned, { targetDirectory, workers: 2, clock: systemClock })
  return targetDirectory
}

function recoverAt(
  dataDirectory: string,
  planned = target,
  repository = scene.repository,
  options: Partial<RecoverOptions> = {},
): Promise<Recovered> {
  const { installation } = scene.server
  const usual = { installation, dataDirectory, action: 'promote', superuser, clock: systemClock } as const
  return recover(repository, planned, { ...usual, ...options })
}

async function assertNotOpened(dataDirectory: string): Promise<void> {
  // Opening it would have begun timeline 2.
  assert.equal((await readControlFile(dataDirectory)).timeline, 1)
  assert.ok(!(await readdir(dataDirectory)).includes('postmaster.pid'))
}

test('targets that cannot be reached are refused before anything is written', async () => {
  const early = (commit.facts.stopLsn - 1n) as Lsn
  const at = (lsn: Lsn): Parameters<typeof plan>[1] => ({ kind: 'lsn', lsn, inclusive: true })
  await assert.rejects(plan(scene, at(early)), is(restoreFaults['restore-target-too-early'], commit.facts.backup))
  await assert.rejects(
    plan(scene, at((await plan(scene, { kind: 'latest' })).plan.walEndLsn)),
    is(restoreFaults['restore-target-too-late']),
  )
  const oldMoment = BigInt(commit.facts.stoppedAt) * 1000n - 1n
  const then = { kind: 'time', epochMicros: oldMoment, inclusive: true } as const
  await assert.rejects(plan(scene, then), is(restoreFaults['restore-target-too-early']))
  const seventh = { timeline: 7 as TimelineId }
  await assert.rejects(plan(scene, { kind: 'latest' }, seventh), is(restoreFaults['restore-timeline-unknown']))
  const unknown = { backupId: '20260101T000000Z-00000000' }
  await assert.rejects(plan(scene, { kind: 'latest' }, unknown), is(restoreFaults['restore-no-backup']))
})

test('a directory that is not empty is refused and left alone', async () => {
  const directory = join(scene.server.directory, 'full')
  await mkdir(directory)
  await writeFile(join(directory, 'mine'), 'precious')
  await assert.rejects(layOut('full'), is(restoreFaults['restore-directory-not-empty'], 'mine'))
  assert.deepEqual(await readdir(directory), ['mine'])
})

test('a time after the last commit is not met, and the database is not opened', async () => {
  const moment = BigInt(systemClock.wall() + 3_600_000) * 1000n
  const planned = await plan(scene, { kind: 'time', epochMicros: moment, inclusive: true })
  const directory = await layOut('future', planned)
  await assert.rejects(recoverAt(directory, planned), is(restoreFaults['restore-target-not-reached']))
  await assertNotOpened(directory)
})

test('a WAL object missing in the middle stops recovery, which goes on when it is back', async () => {
  const directory = await layOut('missing')
  await rename(middle(), `${middle()}.away`)
  try {
    await assert.rejects(recoverAt(directory), is(repositoryFaults['repository-object-missing'], '/wal/'))
    await assertNotOpened(directory)
  } finally {
    await rename(`${middle()}.away`, middle())
  }
  await using recovered = await recoverAt(directory)
  assert.deepEqual(await rowsOf(recovered), wholeTable)
})

test('a WAL object missing behind the target does not matter', async () => {
  const [, second] = target.plan.wal
  assert.ok(second !== undefined)
  const lsn = (second.segmentStart + 100n) as Lsn
  const planned = await plan(scene, { kind: 'lsn', lsn, inclusive: true })
  const directory = await layOut('missing-behind', planned)
  await rename(middle(), `${middle()}.away`)
  try {
    // With prefetching PostgreSQL itself would ask for a few nearly empty segments past the target.
    const parameters = { recovery_prefetch: 'off' }
    await using recovered = await recoverAt(directory, planned, scene.repository, { parameters })
    assert.ok((await rowsOf(recovered)).length < wholeTable.length)
  } finally {
    await rename(`${middle()}.away`, middle())
  }
})

test('a flipped bit in a WAL object stops recovery and is named', async () => {
  const directory = await layOut('flipped')
  const good = await readFile(middle())
  const bad = Buffer.from(good)
  bad[Math.floor(bad.length / 2)]! ^= 1
  await rm(middle())
  await writeFile(middle(), bad)
  try {
    await assert.rejects(recoverAt(directory), is(repositoryFaults['repository-object-damaged'], '/wal/'))
    await assertNotOpened(directory)
  } finally {
    await writeFile(middle(), good)
  }
})

test('a store that fails in the middle stops recovery', async () => {
  const directory = await layOut('outage')
  const lost = middle().slice(scene.repositoryRoot.length + 1)
  const store = {
    ...scene.repository.store,
    read: async (key: string) => {
      if (key === lost) throw new Fault(storeFaults['store-failed'], `Cannot read object ${key}: the store is down`)
      return scene.repository.store.read(key)
    },
  }
  const broken = { ...scene.repository, store }
  await assert.rejects(recoverAt(directory, target, broken), is(storeFaults['store-failed'], lost))
  await assertNotOpened(directory)
})

test('a damaged pack is named, and what was written cannot be taken for a database', async () => {
  const [pack] = commit.facts.packs
  assert.ok(pack !== undefined)
  const path = join(scene.repositoryRoot, pack.key)
  const good = await readFile(path)
  const bad = Buffer.from(good)
  bad[bad.length >> 1]! ^= 1
  await rm(path)
  await writeFile(path, bad)
  const directory = join(scene.server.directory, 'damaged')
  try {
    await assert.rejects(layOut('damaged'), is(repositoryFaults['repository-object-damaged'], pack.key))
    await rm(path)
    await assert.rejects(layOut('gone'), is(repositoryFaults['repository-object-missing'], pack.key))
  } finally {
    await writeFile(path, good)
  }
  assert.ok((await readdir(directory)).includes(incompleteMarker))
  await assert.rejects(recoverAt(directory), is(restoreFaults['restore-incomplete']))
  const { installation } = scene.server
  const logFile = join(scene.server.directory, 'damaged.log')
  await assert.rejects(startServer(installation, directory, { logFile }), Fault)
  // The same restore goes on once the pack is whole again.
  await layOut('damaged')
  await using recovered = await recoverAt(directory)
  assert.deepEqual(await rowsOf(recovered), wholeTable)
})

test('an interrupted restore ends at once and leaves no process', async () => {
  const stop = new AbortController()
  const targetDirectory = join(scene.server.directory, 'interrupted')
  const laid = runRestore(scene.repository, target, {
    targetDirectory,
    workers: 2,
    clock: systemClock,
    signal: stop.signal,
    onProgress: ({ stage }) => stage === 'writing' && stop.abort(new Error('Ctrl-C')),
  })
  await assert.rejects(laid, /Ctrl-C/)
  assert.ok((await readdir(targetDirectory)).includes(incompleteMarker))
  const directory = await layOut('interrupted-later')
  const later = new AbortController()
  const recovering = recoverAt(directory, target, scene.repository, {
    signal: later.signal,
    onProgress: () => later.abort(new Error('Ctrl-C')),
  })
  await assert.rejects(recovering, /Ctrl-C/)
  assert.ok(!(await readdir(directory)).some((name) => name === 'postmaster.pid' || name === 'holdfast-recovery'))
  await using recovered = await recoverAt(directory)
  assert.deepEqual(await rowsOf(recovered), wholeTable)
})

test('what the restored copy says about itself after it is stopped', async () => {
  {
    await using recovered = await restore(scene, { kind: 'latest' }, { directory: 'stopped' })
    assert.match(recovered.stoppedAt ?? '', /^recovery stopping after WAL location/)
  }
  const directory = join(scene.server.directory, 'stopped')
  const control = await readControlFile(directory)
  assert.deepEqual([control.state, control.timeline], ['shut down', 2])
  const settings = await readFile(join(directory, 'holdfast.conf'), 'utf8')
  assert.match(settings, /^archive_mode = 'off'$/m)
  assert.doesNotMatch(settings, /restore_command|recovery_target/)
})

test('law L7: a store that goes away while files are fetched is waited for; when it stays away, the rest is fetched later', async () => {
  const { packs } = commit.facts
  const lost = packs.at(-2)?.key ?? assert.fail('there is only one pack')
  let failures = 2
  const store = {
    ...scene.repository.store,
    read: async (key: string) => {
      if (key !== lost || failures === 0) return scene.repository.store.read(key)
      failures -= 1
      throw new Fault(storeFaults['store-failed'], `Cannot read object ${key}: the store is down`)
    },
  }
  const repository = { ...scene.repository, store }
  const into = (name: string): Promise<RestoreResult> =>
    runRestore(repository, target, {
      targetDirectory: join(scene.server.directory, name),
      workers: 2,
      clock: systemClock,
    })
  assert.equal((await into('comes-back')).keptBytes, 0)
  assert.equal(failures, 0)
  failures = Number.POSITIVE_INFINITY
  await assert.rejects(into('stays-away'), is(storeFaults['store-failed'], lost))
  const directory = join(scene.server.directory, 'stays-away')
  await assert.rejects(recoverAt(directory), is(restoreFaults['restore-incomplete']))
  failures = 0
  const { keptBytes } = await into('stays-away')
  assert.ok(packs.length < 3 || keptBytes > 0, 'everything was fetched anew')
  await using recovered = await recoverAt(directory)
  assert.deepEqual(await rowsOf(recovered), wholeTable)
})

test('another key opens nothing: no file is written', async () => {
  const [key] = scene.repository.keyring.keys
  const strange = { ...key, id: 'f'.repeat(32) }
  const keyring = { ...scene.repository.keyring, current: strange, keys: [strange] } as Repository['keyring']
  const targetDirectory = join(scene.server.directory, 'no-key')
  const restoring = runRestore({ ...scene.repository, keyring }, target, {
    targetDirectory,
    workers: 2,
    clock: systemClock,
  })
  await assert.rejects(restoring, is(repositoryFaults['repository-key-missing']))
  await assert.rejects(readdir(targetDirectory), { code: 'ENOENT' })
})
