import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { takeBackup } from '../src/backup/take-backup.ts'
import { systemClock as clock } from '../src/std/clock.ts'
import { openBackupScene } from '../test/integration/backup/backup-scene.ts'

/**
 * How long incremental backups take and what they store, after no change, changes in one range, and random ones:
 * `node bench/incremental.ts [scale] [workers]`, else as `bench/backup.ts`.
 */
const [scale = 50, workers = 2] = process.argv.slice(2).map(Number)
await using scene = await openBackupScene({ major: 15, parameters: { max_wal_size: '4GB', shared_buffers: '256MB' } })
const { server } = scene
const filled = spawnSync(
  join(server.installation.binDirectory, 'pgbench'),
  ['-i', '-q', '-s', String(scale), '-h', '127.0.0.1', '-p', String(server.port), '-U', server.target.user, 'postgres'],
  { env: { PGPASSWORD: server.target.password.reveal() }, encoding: 'utf8' },
)
if (filled.status !== 0) throw new Error(filled.stderr)
await using sql = await server.sql()
const rows = scale * 100_000
const cases = [
  { what: 'full', full: true, readAll: false, change: 'SELECT 1' },
  { what: 'nothing changed, every file read', full: false, readAll: true, change: 'SELECT 1' },
  { what: 'nothing changed', full: false, readAll: false, change: 'SELECT 1' },
  {
    what: '1 % of the rows, in one range',
    full: false,
    readAll: false,
    change: `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid <= ${rows / 100}`,
  },
  {
    what: '1 % of the rows, at random',
    full: false,
    readAll: false,
    change: 'UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE hashint4(aid) % 100 = 0',
  },
]
for (const { what, full, readAll, change } of cases) {
  await sql.query(change)
  await delay(4000)
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const { commit, changedBytes, stages } = await takeBackup(scene.request, { clock, workers, full, readAll })
  const seconds = (performance.now() - began) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const own = commit.facts.packs.filter(({ key }) => key.includes(commit.facts.backup))
  const stored = own.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes)
  console.log({
    what,
    kind: commit.facts.kind,
    megabytes: Math.round(commit.facts.dataBytes / 1e6),
    changedMegabytes: Number((changedBytes / 1e6).toFixed(1)),
    storedMegabytes: Number((stored / 1e6).toFixed(2)),
    seconds: Number(seconds.toFixed(2)),
    cpuSeconds: Number(((cpu.user + cpu.system) / 1e6).toFixed(1)),
    ...stages,
  })
}
