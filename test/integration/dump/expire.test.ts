import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dumpRecordToJson } from '../../../src/backup/dump/core/dump-record.ts'
import type { DumpRecord } from '../../../src/backup/dump/core/dump-record.ts'
import { expireDumps } from '../../../src/backup/dump/expire-dumps.ts'
import { listDumps } from '../../../src/backup/dump/list-dumps.ts'
import { encodeCheckedJson } from '../../../src/repository/checked-json.ts'
import type { RetentionPolicy } from '../../../src/repository/core/retention.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import type { EpochMs } from '../../../src/std/clock.ts'
import { failNthOperation, forEveryFailure, InjectedFailure } from '../../contract/fail-nth-operation.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { createSampleRepository } from '../repository/sample-repository.ts'

const origin = new Map<string, Uint8Array>()
const created = await createSampleRepository(memoryStore(origin))
const now = Date.parse('2027-06-01T00:00:00Z') as EpochMs
const clock = { wall: () => now }
const dayMs = 86_400_000
const policy: RetentionPolicy = { days: 30, count: 1, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
const prefix = 'main/dumps/'

function nameOf(database: string | null, daysAgo: number): string {
  const run = new Date(now - daysAgo * dayMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  return `${database ?? 'globals'}-${run}-0a1b2c3d.${database === null ? 'sql' : 'dump'}.gpg`
}

/** A dump of so many parts as the repository holds it, or only its first objects. */
function put(objects: Map<string, Uint8Array>, database: string | null, daysAgo: number, parts = 1, only = 99): string {
  const file = nameOf(database, daysAgo)
  const record: DumpRecord = {
    file,
    outcome: 'ok',
    cluster: 'main',
    node: 'n1',
    database,
    content: database === null ? 'plain' : 'custom',
    startedAt: (now - daysAgo * dayMs) as EpochMs,
    endedAt: (now - daysAgo * dayMs) as EpochMs,
    durationMs: 1,
    sizeBytes: 10 * parts,
    fileSha256: 'a'.repeat(64),
    plainBytes: 10,
    databaseBytes: 10,
    tables: 1,
    serverVersion: '18.0',
    toolVersion: '18.0',
    parts,
  }
  const body = new Uint8Array(10)
  const pieces = Array.from({ length: parts }, (_, part) => (parts === 1 ? '' : `.${String(part).padStart(6, '0')}`))
  const all: [string, Uint8Array][] = pieces.map((piece) => [`${file}${piece}`, body])
  all.push([`${file}.sha256`, body], [`${file}.json`, encodeCheckedJson(dumpRecordToJson(record))])
  for (const [name, bytes] of all.slice(0, only)) objects.set(`${prefix}${name}`, bytes)
  return file
}

/** Old ones of one part and of three, young ones, and one of a database that is not dumped any more. */
function scene(): { objects: Map<string, Uint8Array>; repository: Repository; stay: string[]; go: string[] } {
  const objects = new Map(origin)
  const go = [put(objects, 'app', 90, 3), put(objects, 'app', 60), put(objects, null, 60)]
  const stay = [put(objects, 'app', 2, 2), put(objects, null, 2), put(objects, 'gone', 300)]
  return { objects, repository: { ...created, store: memoryStore(objects) }, stay: stay.toSorted(), go }
}

const files = async (repository: Repository): Promise<readonly string[]> => {
  const { dumps, damaged } = await listDumps(repository, 'main')
  assert.deepEqual(damaged, [])
  return dumps.map(({ file }) => file).toSorted()
}
const under = (objects: ReadonlyMap<string, Uint8Array>): readonly string[] =>
  [...objects.keys()].filter((key) => key.startsWith(prefix))

describe('dumps', () => {
  test('go when no rule keeps them, with all their objects; a dry run changes nothing', async () => {
    const { objects, repository, stay, go } = scene()
    const before = under(objects)
    const intended = await expireDumps(repository, 'main', policy, { clock, dryRun: true })
    assert.deepEqual(under(objects), before)
    const done = await expireDumps(repository, 'main', policy, { clock })
    assert.deepEqual(done, intended)
    assert.deepEqual(await files(repository), stay)
    for (const file of go) assert.ok(under(objects).every((key) => !key.includes(file)))
    assert.deepEqual([done.removed.length, done.kept], [11, { count: 3, sizeBytes: 40 }])
    assert.deepEqual((await expireDumps(repository, 'main', policy, { clock })).removed, [])
  })

  test('an expiry that fails anywhere leaves whole dumps only, and the next one does the rest', async () => {
    const attempts = await forEveryFailure(async (n, moment) => {
      const { objects, repository, stay, go } = scene()
      const failing = failNthOperation(repository.store, n, moment)
      await expireDumps({ ...repository, store: failing }, 'main', policy, { clock }).catch((error: unknown) => {
        if (!(error instanceof InjectedFailure)) throw error
      })
      const left = await files(repository)
      assert.ok(stay.every((file) => left.includes(file)))
      assert.ok(left.every((file) => stay.includes(file) || go.includes(file)))
      await expireDumps(repository, 'main', policy, { clock })
      assert.deepEqual(await files(repository), stay)
      assert.equal(under(objects).length, 4 + 3 + 3)
      return failing
    })
    assert.ok(attempts >= 30)
  })

  test('what was never completed goes after three days, and what is being written stays', async () => {
    const { objects, repository, stay } = scene()
    const old = put(objects, 'app', 4, 3, 2)
    const young = put(objects, 'app', 1, 3, 2)
    const odd = `${prefix}notes.txt`
    objects.set(odd, new Uint8Array(1))
    const { leftovers } = await expireDumps(repository, 'main', policy, { clock })
    assert.deepEqual(leftovers, [old])
    assert.deepEqual(await files(repository), stay)
    assert.ok(objects.has(`${prefix}${young}.000001`) && objects.has(odd))
  })

  test('stay in a copy while the first repository has them, and when it has none at all', async () => {
    const { objects, repository, stay, go } = scene()
    const [inFirst = '', ...others] = go
    const firstObjects = new Map([...objects].filter(([key]) => key.includes(inFirst)))
    const first = { ...created, store: memoryStore(firstObjects) }
    const emptied = { ...created, store: memoryStore(new Map(origin)) }
    assert.deepEqual((await expireDumps(repository, 'main', policy, { clock, first: emptied })).removed, [])
    const { verdicts } = await expireDumps(repository, 'main', policy, { clock, first })
    assert.deepEqual(await files(repository), [...stay, inFirst].toSorted())
    assert.deepEqual(verdicts.find(({ dump }) => dump.file === inFirst)?.because, ['the first repository has it'])
    assert.ok(others.every((file) => !objects.has(`${prefix}${file}`)))
  })

  test('whose record cannot be read stay, and are named', async () => {
    const { objects, repository, go } = scene()
    const [file = ''] = go
    objects.set(`${prefix}${file}.json`, Buffer.from('{}\n'))
    const { damaged } = await expireDumps(repository, 'main', policy, { clock })
    assert.deepEqual(
      damaged.map((each) => each.file),
      [file],
    )
    assert.ok(objects.has(`${prefix}${file}.000002`))
  })
})
