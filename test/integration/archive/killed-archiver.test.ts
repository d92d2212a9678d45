import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'node:test'
import { readSegmentBestEffort } from '../../../src/repository/wal-segment-best-effort.ts'
import type { ArchiverReport } from '../../../src/archive/archiver-process.ts'
import { readFile } from 'node:fs/promises'
import { segmentNameAt } from '../../../src/repository/core/object-names.ts'
import { walInventory } from '../../../src/repository/wal-objects.ts'
import { seededRandom } from '../../../src/std/random.ts'
import { parseLsn } from '../../../src/wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { cluster, compareSegments, currentLsn, durableEnd, openArchiveScene } from './archive-scene.ts'
import type { ArchiveScene } from './archive-scene.ts'

function startProgram(scene: ArchiveScene) {
  const program = join(import.meta.dirname, 'archive-program.ts')
  const child = spawn(
    process.execPath,
    [program, String(scene.server.port), scene.repositoryRoot, scene.spoolDirectory],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  const lines = createInterface({ input: child.stdout })
  const reports: ArchiverReport[] = []
  lines.on('line', (line) => reports.push(JSON.parse(line) as ArchiverReport))
  return { child, reports, exited: once(child, 'exit') }
}

test('an archiver killed again and again leaves no gap, no wrong byte and no crumbs', async () => {
  const random = seededRandom(7)
  await using scene = await openArchiveScene({ parameters: { max_wal_size: '2GB' } })
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t (x text)')
  const stop = new AbortController()
  const load = (async () => {
    await using writer = await scene.server.sql()
    while (!stop.signal.aborted)
      await writer.query("INSERT INTO t SELECT repeat('x', 500) FROM generate_series(1, 2000)")
  })()
  try {
    for (let round = 0; round < 6; round += 1) {
      const { child, exited } = startProgram(scene)
      await once(child.stdout, 'data')
      await delay(100 + random() * 700)
      child.kill('SIGKILL')
      await exited
    }
  } finally {
    stop.abort()
    await load
  }
  const lsn = await currentLsn(sql)
  const last = startProgram(scene)
  while (!last.reports.some(({ durableLsn }) => durableLsn !== null && (parseLsn(durableLsn) ?? 0n) >= lsn))
    await delay(20)
  last.child.stdin.end()
  const [code] = await last.exited
  assert.equal(code, 0, 'it ends in order when whoever started it is gone')
  const end = await durableEnd(scene, 1)
  assert.ok(end >= lsn)
  assert.ok((await compareSegments(scene)) >= 4)
  await compareTail(scene, end)
})

/** The stored beginning of the unfinished segment is that of the server's file, and only its own parts are left. */
async function compareTail({ repository, server }: ArchiveScene, end: Lsn): Promise<void> {
  const timeline = 1 as TimelineId
  const walSegmentBytes = 2 ** 24
  const startLsn = (end - (end % BigInt(walSegmentBytes))) as Lsn
  const content = await readSegmentBestEffort(repository, { cluster, timeline, startLsn, walSegmentBytes })
  assert.ok(content !== undefined)
  const name = segmentNameAt(timeline, startLsn, walSegmentBytes)
  const file = await readFile(join(server.dataDirectory, 'pg_wal', name))
  assert.equal(Buffer.compare(content.bytes, file.subarray(0, content.bytes.length)), 0)
  const { tails } = await walInventory(repository, cluster)
  assert.ok(
    tails.every((tail) => tail.startLsn >= startLsn),
    'the parts of finished segments are gone',
  )
}
