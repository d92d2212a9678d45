import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { takeBackup } from '../src/backup/take-backup.ts'
import { systemClock as clock } from '../src/std/clock.ts'
import { openBackupScene } from '../test/integration/backup/backup-scene.ts'

/**
 * How fast a full backup is, stage by stage: `node bench/backup.ts [scale] [workers]` on a pgbench database (scale 100
 * is about 1.5 GB), repository on the same disk. Needs PostgreSQL 15 with pgbench, and a user other than root.
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
for (let round = 1; round <= 3; round++) {
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const { commit, stages } = await takeBackup(scene.request, { clock, workers, full: true })
  const seconds = (performance.now() - began) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const megabytes = commit.facts.dataBytes / 1e6
  const stored = commit.facts.packs.reduce((sum, pack) => sum + pack.sizeBytes, 0) / 1e6
  console.log({
    round,
    megabytes: Math.round(megabytes),
    storedMegabytes: Math.round(stored),
    seconds: Number(seconds.toFixed(2)),
    megabytesPerSecond: Math.round(megabytes / seconds),
    cpuSeconds: Number(((cpu.user + cpu.system) / 1e6).toFixed(1)),
    rssMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
    ...stages,
  })
}
