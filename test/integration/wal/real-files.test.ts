import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Sql } from '../../../src/postgres/sql.ts'
import { writeServerConfiguration, writeSignalFiles } from '../../../src/postgres/data-directory.ts'
import { formatLsn, parseLsn } from '../../../src/wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { majorOfMagic, parsePageHeader, walPageBytes } from '../../../src/wal/core/page-header.ts'
import { isSegmentSwitch, transactionEnd } from '../../../src/wal/core/record-header.ts'
import { findEndOfWal, pagesOfSegment, readRecords } from '../../../src/wal/core/record-reader.ts'
import type { WalRecord } from '../../../src/wal/core/record-reader.ts'
import { classifyWalFile, segmentFileName, segmentOf, segmentStart } from '../../../src/wal/core/segment.ts'
import { formatTimelineHistory, parseTimelineHistory } from '../../../src/wal/core/timeline-history.ts'
import { createTestServer, testMajors } from '../../support/postgres.ts'
import type { TestServer } from '../../support/postgres.ts'
import { pagesOfDirectory } from '../../support/wal.ts'

const first = 1 as TimelineId
const segmentBytes = 2 ** 20

for (const installation of await testMajors()) {
  describe(`WAL written by PostgreSQL ${installation.version} (${installation.source})`, () => {
    let server: TestServer
    let begin: Lsn
    let end: Lsn
    let commits: number

    before(async () => {
      server = await createTestServer({ installation, walSegmentBytes: segmentBytes })
      await using sql = await server.sql()
      await sql.query('CREATE TABLE t (i int PRIMARY KEY, x text)')
      await sql.query('CHECKPOINT')
      begin = await lsn(sql, 'SELECT redo_lsn AS lsn FROM pg_control_checkpoint()')
      commits = 0
      for (let i = 0; i < 20; i += 1) {
        await sql.query("INSERT INTO t SELECT $1::int * 100 + n, repeat('x', n * 7) FROM generate_series(1, 100) n", [
          i,
        ])
        commits += 1
        if (i % 7 === 6) await sql.query('SELECT pg_switch_wal()')
      }
      // One record larger than a segment's page, and one larger than a segment, which lies on three of them.
      await sql.query("SELECT pg_logical_emit_message(true, 'test', repeat('m', 30000))")
      await sql.query("SELECT pg_logical_emit_message(true, 'test', repeat('m', 1500000))")
      commits += 2
      end = await lsn(sql, 'SELECT pg_current_wal_flush_lsn() AS lsn')
      await server.stop('immediate')
    })

    after(() => server[Symbol.asyncDispose]())

    function records(): WalRecord[] {
      return [...readRecords(pages(), begin)].filter((record) => record.lsn < end)
    }
    function pages(): ReturnType<typeof pagesOfDirectory> {
      return pagesOfDirectory(join(server.dataDirectory, 'pg_wal'), first, segmentBytes)
    }

    test('every record is read and the end found is where the server stopped flushing, or a little after', () => {
      const found = findEndOfWal(pages(), begin)
      assert.ok(found.endLsn >= end, `${formatLsn(found.endLsn)} is before ${formatLsn(end)}`)
      assert.equal(records().at(-1)?.endLsn, end)
      assert.equal(records().filter((record) => transactionEnd(record) === 'commit').length, commits)
    })

    const { pgWaldump } = installation.tools
    if (pgWaldump !== undefined) {
      test('pg_waldump sees the same records', async () => {
        const args = ['-p', join(server.dataDirectory, 'pg_wal'), '-s', formatLsn(begin), '-e', formatLsn(end)]
        const { stdout } = await promisify(execFile)(pgWaldump, args, { maxBuffer: 1 << 26 })
        const expected = [
          ...stdout.matchAll(/len \(rec\/tot\): +\d+\/ *(\d+), tx: +(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+)/g),
        ]
        assert.ok(expected.length > 100)
        assert.deepEqual(
          records().map((record) => [record.totalBytes, record.transaction, record.lsn]),
          expected.map(([, total, transaction, text]) => [Number(total), Number(transaction), parseLsn(text!)]),
        )
      })
    }

    test('from the beginning of any segment the same end is found', async () => {
      const whole = findEndOfWal(pages(), begin)
      for (let segment = segmentOf(begin, segmentBytes) + 1n; segment <= segmentOf(end, segmentBytes); segment += 1n) {
        const start = (segment * BigInt(segmentBytes)) as Lsn
        const found = findEndOfWal(pages(), start)
        const inside = found.lastRecordLsn === undefined
        assert.ok(inside ? found.reason === 'no-page' || start >= end : found.endLsn === whole.endLsn)
      }
    })

    test('the first page of a segment names the release, the system and the segment size', async () => {
      const name = segmentFileName(first, segmentOf(end, segmentBytes), segmentBytes)
      const header = parsePageHeader(await readFile(join(server.dataDirectory, 'pg_wal', name)))
      assert.equal(majorOfMagic(header?.magic ?? 0), installation.major)
      assert.equal(header?.segment?.segmentBytes, segmentBytes)
      const start = segmentStart(segmentOf(end, segmentBytes), segmentBytes)
      const bytes = await readFile(join(server.dataDirectory, 'pg_wal', name))
      const foreign = findEndOfWal(pagesOfSegment(bytes, start, segmentBytes), start, 42n)
      assert.equal(foreign.reason, 'foreign-page')
    })

    test('a flipped bit in a record ends the valid WAL before it, wherever the bit is', async () => {
      const all = records()
      const position = Math.floor(all.length / 2)
      const victim = all[position]!
      const segment = segmentOf(victim.lsn, segmentBytes)
      const start = segmentStart(segment, segmentBytes)
      const path = join(server.dataDirectory, 'pg_wal', segmentFileName(first, segment, segmentBytes))
      for (let at = 0; at < Math.min(victim.totalBytes, 64); at += 5) {
        const bytes = await readFile(path)
        const offset = Number(victim.lsn - start) + at
        if (offset % walPageBytes < 40) continue
        bytes[offset]! ^= 0x10
        const found = findEndOfWal(pagesOfSegment(bytes, start, segmentBytes), start)
        assert.equal(found.endLsn, all[position - 1]!.endLsn, `bit at byte ${at} of the record`)
      }
    })

    test('a segment cut anywhere ends at the last record that is whole', async () => {
      const all = records()
      const segment = segmentOf(all[0]!.lsn, segmentBytes)
      const start = segmentStart(segment, segmentBytes)
      const bytes = await readFile(join(server.dataDirectory, 'pg_wal', segmentFileName(first, segment, segmentBytes)))
      for (let cut = 4 * walPageBytes; cut < bytes.length; cut += 13 * walPageBytes) {
        const found = findEndOfWal(pagesOfSegment(bytes.subarray(0, cut), start, segmentBytes), begin)
        const limit = start + BigInt(cut)
        const whole = all.filter((record) => record.endLsn <= limit || (isSegmentSwitch(record) && record.lsn < limit))
        assert.equal(found.endLsn, whole.at(-1)?.endLsn ?? begin)
      }
    })

    test('every file in pg_wal is known by its name, and a promoted server writes the history we would', async () => {
      await writeServerConfiguration(server.dataDirectory, {
        ...server.settings,
        recovery: { restoreCommand: 'false', target: { kind: 'latest' }, timeline: 'current', action: 'promote' },
      })
      await writeSignalFiles(server.dataDirectory, 'recovery')
      await server.start()
      await using sql = await server.sql()
      while ((await sql.query('SELECT pg_is_in_recovery() AS r'))[0]?.['r'] === true)
        await sql.query('SELECT pg_sleep(0.01)')
      const text = await readFile(join(server.dataDirectory, 'pg_wal', '00000002.history'), 'utf8')
      const parsed = parseTimelineHistory(2 as TimelineId, text)
      assert.ok('history' in parsed)
      assert.equal(formatTimelineHistory(parsed.history), text)
      const { ancestors } = parsed.history
      assert.equal(ancestors.length, 1)
      assert.equal(ancestors[0]?.timeline, first)
      assert.ok(ancestors[0].switchLsn >= end)
      const files = await readdir(join(server.dataDirectory, 'pg_wal'), { withFileTypes: true })
      for (const file of files.filter((entry) => entry.isFile())) {
        assert.ok(classifyWalFile(file.name, segmentBytes), file.name)
      }
    })
  })
}

async function lsn(sql: Sql, query: string): Promise<Lsn> {
  const rows = await sql.query<{ lsn: string }>(query)
  const parsed = parseLsn(rows[0]?.lsn ?? '')
  assert.ok(parsed !== undefined)
  return parsed
}
