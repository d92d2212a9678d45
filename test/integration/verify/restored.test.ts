import assert from 'node:assert/strict'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import type { CopyRequest } from '../../../src/drill/verify/check-restored.ts'
import { proofToJson, type VerificationProof } from '../../../src/repository/core/proof.ts'
import { Fault } from '../../../src/std/fault.ts'
import { postgresFaults } from '../../../src/postgres/faults.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { superuser } from '../../support/postgres.ts'
import { cluster, currentLsn, startArchiver, type ArchiveScene } from '../archive/archive-scene.ts'
import { openVerifyScene, verify, type StoredScene } from './verify-scene.ts'

// One server for all tests. What its configuration says would reach out from a copy that took it as it is.
let scene: ArchiveScene & { readonly stored: () => Promise<StoredScene> }
let publisher: Server
let connections = 0
let leak: string

before(async () => {
  publisher = createServer((socket) => {
    connections += 1
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(publisher, 'listening')
  const { port } = publisher.address() as { readonly port: number }
  scene = await openVerifyScene({ parameters: { max_logical_replication_workers: 0 } }, async (sql, { server }) => {
    leak = join(server.directory, 'leaked')
    await mkdir(leak)
    await sql.query(`CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=${port} user=x dbname=x' PUBLICATION p
      WITH (connect = false, slot_name = 's')`)
    await sql.query('ALTER SUBSCRIPTION s ENABLE')
    // Only written, not loaded: this server goes on as it is, its copy would begin with all of it.
    await sql.query(`ALTER SYSTEM SET archive_command = 'cp %p ${leak}/%f'`)
    for (const [name, value] of [
      ['archive_mode', 'always'],
      ['shared_preload_libraries', 'no_library_of_this_name'],
      ['max_logical_replication_workers', '4'],
      ['listen_addresses', '*'],
      ['primary_conninfo', `host=127.0.0.1 port=${port}`],
      ['zero_damaged_pages', 'on'],
      ['shared_buffers', '64GB'],
    ]) {
      await sql.query(`ALTER SYSTEM SET ${name} = '${value}'`)
    }
  })
})
after(async () => {
  await scene[Symbol.asyncDispose]()
  publisher.close()
})

function copyRequest(more: Partial<CopyRequest> = {}): CopyRequest {
  return {
    installation: async () => scene.server.installation,
    directory: join(scene.server.directory, 'verify'),
    superuser,
    largestTables: 3,
    checks: [{ name: 'rows', database: 'postgres', query: 'SELECT count(*) FROM t', expect: '>= 2000' }],
    statementMs: 60_000,
    amcheckMs: 120_000,
    ...more,
  }
}

const outcomes = (proof: VerificationProof): Readonly<Record<string, string>> =>
  Object.fromEntries(proof.checks.map(({ name, outcome }) => [name, outcome]))

test('L4: a restored copy proves pages, tables and a moment between two commits, and reaches nobody', async () => {
  const proof = await verify(await scene.stored(), 4, undefined, { copy: copyRequest() })
  const said = JSON.stringify(proofToJson(proof), undefined, 1)
  assert.deepEqual([proof.outcome, proof.proven, proof.findings], ['passed', 4, []], said)
  assert.equal(proof.postgres, scene.server.installation.version)
  const text = (name: string): string => proof.checks.find((check) => check.name === name)?.text ?? assert.fail(said)
  assert.match(
    text('point in time'),
    /^recovery to \S+ \S+ ended at .*: transaction \d+ is there and \d+, the next, is not$/,
  )
  assert.match(text('largest tables'), /postgres\.public\.t 2006/)
  assert.match(text('databases and catalogues'), /4 databases|3 databases/)
  assert.match(text('query rows'), /^gave 2006, expected >= 2000$/)
  assert.match(text('page checksums'), /^\d{3,} pages/)
  assert.equal(outcomes(proof)['pg_amcheck'], scene.server.installation.tools.pgAmcheck ? 'passed' : 'skipped')
  // Law L9, against what the files of the source say; and nothing is left of the copy.
  assert.deepEqual(await readdir(leak), [])
  assert.equal(connections, 0)
  assert.deepEqual(await readdir(join(scene.server.directory, 'verify')), [])
})

test('a query that gives something else, or fails, is a failure that names it', async () => {
  const checks = [
    { name: 'too-many', database: 'postgres', query: 'SELECT count(*) FROM t', expect: '> 1000000' },
    { name: 'no-table', database: 'other', query: 'SELECT count(*) FROM t', expect: '> 0' },
    { name: 'writes', database: 'postgres', query: 'DELETE FROM t RETURNING x', expect: '> 0' },
  ]
  const proof = await verify(await scene.stored(), 4, undefined, { copy: copyRequest({ checks }) })
  assert.deepEqual([proof.outcome, proof.proven], ['failed', 3])
  const messages = proof.findings.map(({ message }) => message).join('\n')
  assert.match(messages, /query too-many .*gave 2006, expected > 1000000/)
  assert.match(messages, /query no-table in database other: .*relation "t" does not exist/)
  assert.match(messages, /query writes .*read-only transaction/)
})

test('what this machine lacks is named as left out, and takes nothing away from the levels below', async () => {
  const missing = new Fault(postgresFaults['postgres-not-found'], 'Cannot find PostgreSQL 15')
  const copy = copyRequest({ installation: () => Promise.reject(missing) })
  const proof = await verify(await scene.stored(), 4, undefined, { copy })
  assert.deepEqual([proof.outcome, proof.proven, proof.postgres], ['incomplete', 2, null])
  assert.deepEqual(
    proof.checks.filter(({ level }) => level >= 3).map(({ name, outcome, text }) => [name, outcome, text]),
    [
      ['restore', 'skipped', 'Cannot find PostgreSQL 15'],
      ['queries', 'skipped', 'nothing was restored'],
    ],
  )
})

test('an abort in the middle of the restore leaves no copy behind', async () => {
  const stop = new AbortController()
  const onProgress = (what: string): void => {
    if (what === 'replaying WAL') stop.abort(new Error('stop'))
  }
  await assert.rejects(
    verify(await scene.stored(), 3, undefined, { copy: copyRequest(), signal: stop.signal, onProgress }),
    /stop/,
  )
  assert.deepEqual(await readdir(join(scene.server.directory, 'verify')), [])
})

test('a page that was damaged on the server before the backup is named by relation and block', async () => {
  const { repository, server } = scene
  await using sql = await server.sql()
  await sql.query('CREATE TABLE spoiled (x int, filler text)')
  await sql.query("INSERT INTO spoiled SELECT g, repeat('x', 1000) FROM generate_series(1, 100) g")
  await sql.query('CHECKPOINT')
  const [row] = await sql.query<{ path: string }>("SELECT pg_relation_filepath('spoiled') AS path")
  {
    await using file = await open(join(server.dataDirectory, row?.path ?? ''), 'r+')
    await file.write(Buffer.from('damage'), 0, 6, 5 * 8192 + 4000)
  }
  const backup = await (async () => {
    await using archiver = startArchiver(scene)
    const { commit } = await takeBackup(
      { repository, cluster, target: server.target, dataDirectory: server.dataDirectory },
      { clock: systemClock, workers: 2 },
    )
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
    return commit.facts.backup
  })()
  const stored = { ...(await scene.stored()), backup }
  const below = await verify(stored, 2)
  assert.equal(below.outcome, 'passed', 'what is stored is what was there')
  const proof = await verify(stored, 3, undefined, { copy: copyRequest() })
  assert.deepEqual([proof.outcome, proof.proven], ['failed', 2], JSON.stringify(proof.checks))
  const page = proof.findings.find(({ path }) => path === row?.path)
  assert.deepEqual([page?.block, page?.relation, page?.level], [5, 'postgres: public.spoiled', 3])
  assert.match(proof.restorable ?? '', /uses none of the damaged objects/)
  await rm(join(scene.server.directory, 'verify'), { recursive: true, force: true })
})
