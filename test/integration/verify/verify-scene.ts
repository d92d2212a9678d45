import { createHash } from 'node:crypto'
import { generateKey } from 'openpgp'
import { dumpRecordToJson, type DumpRecord } from '../../../src/backup/dump/core/dump-record.ts'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { verifyBackup } from '../../../src/drill/verify/verify-backup.ts'
import type { VerifyOptions, VerifyRequest } from '../../../src/drill/verify/verify-backup.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import { dumpObject, dumpPartObject } from '../../../src/repository/core/object-names.ts'
import { encodeCheckedJson } from '../../../src/repository/checked-json.ts'
import { readCommit } from '../../../src/repository/catalogue.ts'
import type { VerificationProof } from '../../../src/repository/core/proof.ts'
import type { VerificationLevel } from '../../../src/repository/core/proof-name.ts'
import { giveAccess } from '../../../src/repository/give-access.ts'
import { holdBackup } from '../../../src/repository/holds.ts'
import type { KeyAccess } from '../../../src/repository/openpgp-keys.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { takeAccess } from '../../../src/repository/take-access.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import { Fault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import { memoryStore } from '../../support/memory-store.ts'
import type { TestServerOptions } from '../../support/postgres.ts'
import { cluster, currentLsn, openArchiveScene, passphrase, startArchiver } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'

export const policy = { days: 30, count: 2, daily: 0, weekly: 0, monthly: 0, yearly: 0 }

/** Everything in a repository, which can be damaged and looked at without touching the original. */
export interface StoredScene {
  readonly objects: ReadonlyMap<string, Uint8Array>
  readonly access: KeyAccess
  readonly repository: Repository
  readonly backup: string
}

/**
 * A real server with two databases, a full backup and an incremental one, a hold, and archived WAL in whole segments and
 * a tail, with transactions behind the backups.
 */
export async function openVerifyScene(
  options: TestServerOptions = {},
  prepare: (sql: Sql, scene: ArchiveScene) => Promise<void> = async () => {},
): Promise<ArchiveScene & { readonly stored: () => Promise<StoredScene> }> {
  const scene = await openArchiveScene({ walSegmentBytes: 2 ** 20, ...options })
  const backups: string[] = []
  {
    await using archiver = startArchiver(scene)
    await using sql = await scene.server.sql()
    await sql.query('CREATE DATABASE other')
    await prepare(sql, scene)
    await sql.query('CREATE TABLE t (x int PRIMARY KEY, note text)')
    await sql.query("INSERT INTO t SELECT g, repeat('row ' || g, 20) FROM generate_series(1, 2000) g")
    await sql.query('ANALYZE t')
    for (let round = 0; round < 2; round += 1) {
      const { repository, server } = scene
      const { commit } = await takeBackup(
        { repository, cluster, target: server.target, dataDirectory: server.dataDirectory },
        { clock: systemClock, workers: 2 },
      )
      backups.push(commit.facts.backup)
      await sql.query('UPDATE t SET note = note || $1 WHERE x % 3 = 0', [`${round}`])
    }
    for (let x = 1; x <= 5; x += 1) await sql.query('INSERT INTO t VALUES ($1, $2)', [10_000 + x, 'later'])
    // Over several segments.
    for (let round = 0; round < 3; round += 1) {
      await sql.query('UPDATE t SET note = note || $1', ['.'.repeat(200)])
      await sql.query('SELECT pg_switch_wal()')
    }
    await sql.query("INSERT INTO t VALUES (0, 'last')")
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  const backup = backups.at(-1) ?? ''
  await holdBackup(scene.repository, { cluster, backup, reason: 'test' }, { clock: systemClock })
  const access = await openByKeyPair(scene.repository)
  await storeDump(scene.repository)
  const stored = async (): Promise<StoredScene> => {
    const objects = new Map<string, Uint8Array>()
    for await (const { key } of scene.repository.store.list(''))
      objects.set(key, await scene.repository.store.read(key))
    return { objects, access, repository: scene.repository, backup }
  }
  return { ...scene, stored }
}

/** What a dump leaves, without the programs that make one. */
async function storeDump({ store, id }: Repository): Promise<void> {
  const file = 'app-20261122T120000Z-0a1b2c3d.dump.gpg'
  const parts = [Buffer.from('first part '), Buffer.from('second part')]
  const record: DumpRecord = {
    file,
    outcome: 'ok',
    cluster,
    node: 'n1',
    database: 'app',
    content: 'custom',
    startedAt: 0 as EpochMs,
    endedAt: 1000 as EpochMs,
    durationMs: 1000,
    sizeBytes: parts.reduce((sum, part) => sum + part.length, 0),
    fileSha256: createHash('sha256').update(Buffer.concat(parts)).digest('hex'),
    plainBytes: 1,
    databaseBytes: 1,
    tables: 1,
    serverVersion: '15.0',
    toolVersion: '15.0',
    parts: parts.length,
  }
  for (const [part, bytes] of parts.entries()) await store.create(dumpPartObject(cluster, file, part), bytes)
  const json = { ...dumpRecordToJson(record), repositoryId: id }
  await store.create(dumpObject(cluster, `${file}.json`), encodeCheckedJson(json))
}

/** Each try of a passphrase takes a good part of a second; one of a private key does not. */
async function openByKeyPair(repository: Repository): Promise<KeyAccess> {
  const key = await generateKey({ type: 'curve25519', userIDs: [{ name: 'test' }], format: 'armored' })
  const access = { privateKey: { armored: new Secret(key.privateKey) } }
  await giveAccess(repository, { way: 'pair', access: { passphrase }, to: { recipients: [key.publicKey] } })
  await takeAccess(repository, { way: 'first', access })
  return access
}

/** Verifies the newest backup of a scene, with some objects changed or taken away. */
export async function verify(
  { objects, access, repository, backup }: StoredScene,
  level: VerificationLevel,
  damage: ReadonlyMap<string, Uint8Array | undefined> = new Map(),
  options: Partial<VerifyOptions> & Pick<VerifyRequest, 'copy'> = {},
): Promise<VerificationProof> {
  const changed = new Map(objects)
  for (const [key, bytes] of damage) {
    if (bytes === undefined) changed.delete(key)
    else changed.set(key, bytes)
  }
  const damaged = { ...repository, store: memoryStore(changed) }
  const subject = await readCommit(damaged, { cluster, backup }).then(
    (commit) => ({ commit }),
    (fault: unknown) => {
      if (!(fault instanceof Fault)) throw fault
      return { backup, fault }
    },
  )
  const request = {
    cluster,
    subject,
    level,
    access,
    place: 'local',
    policy,
    copy: options.copy,
    node: 'n1',
    version: 'test',
  }
  return await verifyBackup(damaged, request, { clock: systemClock, random: () => 0.5, ...options })
}
