import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { CopyRequest } from '../../../src/drill/verify/check-restored.ts'
import { proofFromJson, proofToJson, type VerificationProof } from '../../../src/repository/core/proof.ts'
import type { VerificationLevel } from '../../../src/repository/core/proof-name.ts'
import { readCommit } from '../../../src/repository/catalogue.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { putWalSegment, readWalSegment } from '../../../src/repository/wal-objects.ts'
import type { TimelineId } from '../../../src/wal/core/lsn.ts'
import { segmentFileName, segmentOf } from '../../../src/wal/core/segment.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { superuser } from '../../support/postgres.ts'
import { cluster, currentLsn, startArchiver } from '../archive/archive-scene.ts'
import { checkWal } from '../../../src/drill/verify/check-wal.ts'
import { openExamination } from '../../../src/drill/verify/examination.ts'
import { verifyFaults } from '../../../src/drill/verify/faults.ts'
import { verifyBackup } from '../../../src/drill/verify/verify-backup.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { openVerifyScene, policy, verify, type StoredScene } from './verify-scene.ts'

let stored: StoredScene
let commit: Commit
let scene: Awaited<ReturnType<typeof openVerifyScene>>

before(async () => {
  scene = await openVerifyScene()
  stored = await scene.stored()
  commit = await readCommit(stored.repository, { cluster, backup: stored.backup })
})
after(() => scene[Symbol.asyncDispose]())

/** One object of each kind that this backup needs. */
const kinds = {
  'a pack of this backup': () =>
    commit.facts.packs.map(({ key }) => key).findLast((key) => key.includes(stored.backup)),
  'a pack shared with the backup before': () =>
    commit.facts.packs.map(({ key }) => key).find((key) => !key.includes(stored.backup)),
  'the manifest': () => commit.manifest.key,
  'the commit': () => find(/\/commit.json$/, stored.backup),
  'a WAL segment': () => segments()[1],
  'a WAL tail': () => find(/^main\/tail\//),
  'the hold': () => find(/^main\/holds\//),
  'the identity of the cluster': () => 'main/cluster.json',
  'the key': () => find(/^keys\//),
  'the restore program': () => 'restore.mjs',
  'the instructions': () => 'RESTORE.md',
} as const

function find(pattern: RegExp, part = ''): string | undefined {
  return [...stored.objects.keys()].find((key) => pattern.test(key) && key.includes(part))
}

/** Those that recovery of this backup reads. */
function segments(): readonly string[] {
  const first = segmentFileName(1 as TimelineId, segmentOf(commit.facts.startLsn, 2 ** 20), 2 ** 20)
  const all = [...stored.objects.keys()].filter((key) => /^main\/wal\/00000001\/[0-9A-F]{24}$/.test(key))
  const needed = all.filter((key) => key.slice(-24) >= first).toSorted()
  assert.ok(needed.length >= 3, 'the scene has several segments behind the backup')
  return needed
}

function keyOf(kind: keyof typeof kinds): string {
  const key = kinds[kind]()
  assert.ok(key !== undefined && stored.objects.has(key), `the scene has no object of the kind: ${kind}`)
  return key
}

const flipped = (bytes: Uint8Array): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  const at = copy.length >> 1
  copy[at] = (copy[at] ?? 0) ^ 4
  return copy
}

const failedLevels = (proof: VerificationProof): readonly VerificationLevel[] => [
  ...new Set(proof.checks.filter(({ outcome }) => outcome === 'failed').map(({ level }) => level)),
]

test('a good backup passes each level, and the proof of it reads back as it was', async () => {
  for (const level of [0, 1, 2] as const) {
    const proof = await verify(stored, level)
    assert.deepEqual([proof.outcome, proof.proven, proof.findings], ['passed', level, []], JSON.stringify(proof.checks))
    assert.deepEqual(proofFromJson(JSON.parse(JSON.stringify(proofToJson(proof)))), proof)
    assert.equal(proof.provenLsn !== null, level > 0)
  }
})

test('L0 finds what is missing or has another size, L1 a flipped bit, each named by its object', async () => {
  // What is lost or cut short is seen without reading where the commit says the size; of WAL only the chain can tell.
  const expectations: Readonly<Record<keyof typeof kinds, readonly [deleted: number, cut: number, flip: number]>> = {
    'a pack of this backup': [0, 0, 1],
    'a pack shared with the backup before': [0, 0, 1],
    'the manifest': [0, 0, 1],
    'the commit': [0, 0, 0],
    'a WAL segment': [-1, 1, 1],
    'a WAL tail': [-1, 1, 1],
    'the hold': [-1, 1, 1],
    'the identity of the cluster': [-1, 1, 1],
    'the key': [-1, 1, 1],
    'the restore program': [0, -1, -1],
    'the instructions': [0, -1, -1],
  }
  for (const [kind, levels] of Object.entries(expectations) as [keyof typeof kinds, readonly number[]][]) {
    const key = keyOf(kind)
    const bytes = stored.objects.get(key) ?? assert.fail()
    const damages = [undefined, bytes.subarray(0, bytes.length - 9), flipped(bytes)]
    for (const [index, damage] of damages.entries()) {
      const expected = levels[index] ?? -1
      // Not every kind can be told from what is not there, or is text.
      if (expected === -1) continue
      const proof = await verify(stored, 2, new Map([[key, damage]]))
      const said = JSON.stringify([kind, index, proof.checks, proof.findings])
      assert.equal(proof.outcome, 'failed', said)
      assert.equal(Math.min(...failedLevels(proof)), expected, said)
      assert.equal(proof.proven, expected === 0 ? null : expected - 1, said)
      if (!(kind === 'a WAL segment' && index === 0))
        assert.ok(
          proof.findings.some(({ object }) => object === key),
          said,
        )
      // The level below does not see it, and does not say that it did.
      if (expected > 0) assert.equal((await verify(stored, 0, new Map([[key, damage]]))).outcome, 'passed', said)
    }
  }
})

test('a backup whose commit was deleted is missed, not forgotten', async () => {
  const key = keyOf('the commit')
  const others = [...stored.objects.keys()].filter((one) => /commit.json$/.test(one) && one !== key)
  const other = others[0]?.split('/')[2] ?? assert.fail()
  const proof = await verify({ ...stored, backup: other }, 0, new Map([[key, undefined]]))
  assert.equal(proof.outcome, 'doubtful')
  assert.ok(proof.findings.some(({ object }) => object === key))
})

test('a portable dump that is damaged is doubtful and named; the backup stays proven', async () => {
  const parts = [...stored.objects.keys()].filter((key) => /^main\/dumps\/.*\.\d{6}$/.test(key))
  assert.equal(parts.length, 2)
  const key = parts[1] ?? ''
  const bytes = stored.objects.get(key) ?? assert.fail()
  for (const damage of [undefined, bytes.subarray(1), flipped(bytes)]) {
    const proof = await verify(stored, 1, new Map([[key, damage]]))
    assert.deepEqual([proof.outcome, proof.proven], ['doubtful', 1], JSON.stringify(proof.checks))
    assert.match(proof.findings[0]?.object ?? '', /^main\/dumps\/app-/)
  }
})

test('sessions and announcements of collections that cannot be read are found', async () => {
  for (const key of ['main/sessions/20261122T000000Z-00000000.json', 'main/gc/0000000000000000.json']) {
    const proof = await verify(stored, 1, new Map([[key, Buffer.from('{}')]]))
    assert.deepEqual([proof.outcome, proof.proven, proof.findings[0]?.object], ['failed', 0, key])
  }
})

test('a backup that is expired while it is looked at is gone, not broken', async () => {
  const key = keyOf('the commit')
  const gone = new Map(stored.objects)
  gone.delete(keyOf('a pack of this backup'))
  const store = memoryStore(gone)
  const onCheck = (): void => void gone.delete(key)
  const repository = { ...stored.repository, store }
  const request = { cluster, subject: { commit }, level: 0, access: stored.access, place: 'local', policy } as const
  await assert.rejects(
    verifyBackup(repository, { ...request, node: 'n1', version: '' }, { clock: systemClock, random: () => 0, onCheck }),
    (error) => isFault(error, verifyFaults['verify-backup-expired']),
  )
})

test('damage says what can still be restored', async () => {
  const own = await verify(stored, 1, new Map([[keyOf('a pack of this backup'), undefined]]))
  assert.match(own.restorable ?? '', /backup \S+ \(ended .* uses none of the damaged objects; 1 of 2/)
  const shared = await verify(stored, 1, new Map([[keyOf('a pack shared with the backup before'), undefined]]))
  assert.equal(shared.restorable, 'no other backup is free of the damage that was found')
})

test('a hole behind a backup is no doubt where the rules keep its own WAL alone', async () => {
  const holed = new Map(stored.objects)
  holed.delete(keyOf('a WAL segment'))
  const repository = { ...stored.repository, store: memoryStore(holed) }
  for (const [ownWalOnly, expected] of [
    [true, 'passed'],
    [false, 'doubtful'],
  ] as const) {
    const examination = openExamination(systemClock, () => {})
    const options = { clock: systemClock, records: true, share: 0.5, onBytes: () => {} }
    await checkWal(repository, { cluster, backup: stored.backup, ownWalOnly }, examination, options)
    assert.equal(examination.checks.find(({ name }) => name === 'WAL chain')?.outcome, expected)
  }
})

test('a hole in the chain is found by the names, and records that are no WAL by reading them', async () => {
  const proof = await verify(stored, 2, new Map([[keyOf('a WAL segment'), undefined]]))
  const chain = proof.checks.find(({ name }) => name === 'WAL chain')
  assert.equal(chain?.outcome, 'doubtful', JSON.stringify(proof.checks))
  assert.match(chain.text, /is missing, so that later moments need a later backup/)
  const first = await verify(stored, 2, new Map([[segments()[0] ?? '', undefined]]))
  assert.deepEqual([first.outcome, first.proven], ['failed', 0])
  // Whole, sealed with our key, under its name: only who reads the records sees that it is not what the server wrote.
  const name = segments()[1]?.slice(-24) ?? ''
  const bytes = Buffer.from(await readWalSegment(stored.repository, { cluster, name }))
  bytes.writeUInt8(bytes.readUInt8(300_000) ^ 1, 300_000)
  const forged = memoryStore()
  await putWalSegment({ ...stored.repository, store: forged }, { cluster, name, bytes })
  const key = segments()[1] ?? ''
  const read = await verify(stored, 2, new Map([[key, await forged.read(key)]]))
  assert.deepEqual([read.outcome, read.proven], ['failed', 1], JSON.stringify(read.checks))
  assert.match(read.findings[0]?.message ?? '', /WAL cannot be read on from/)
})

test('a backup is proven over a switch of timelines behind it, a moment behind the switch included', async () => {
  const { server } = scene
  await server.stop()
  await writeFile(join(server.dataDirectory, 'standby.signal'), '')
  await server.start()
  {
    await using sql = await server.sql()
    await sql.query('SELECT pg_promote(true, 60)')
    await using archiver = startArchiver(scene)
    for (let x = 1; x <= 40; x += 1)
      await sql.query('INSERT INTO t VALUES ($1, repeat($2, 50000))', [20_000 + x, 'new'])
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  const directory = join(server.directory, 'verify')
  const copy: CopyRequest = {
    installation: async () => server.installation,
    directory,
    superuser,
    largestTables: 1,
    checks: [{ name: 'new', database: 'postgres', query: 'SELECT count(*) FROM t WHERE x > 20000', expect: '40' }],
    statementMs: 60_000,
    amcheckMs: 60_000,
  }
  const proof = await verify(await scene.stored(), 4, undefined, { copy, random: () => 0.999 })
  const said = JSON.stringify(proofToJson(proof))
  assert.deepEqual([proof.outcome, proof.proven, proof.timeline], ['passed', 4, 2], said)
  assert.match(
    proof.checks.find(({ name }) => name === 'point in time')?.text ?? '',
    /is there and \d+, the next, is not/,
  )
})
