import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openSql } from '../../../src/postgres/sql.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { putWalSegment } from '../../../src/repository/wal-objects.ts'
import type { TestServer } from '../../support/postgres.ts'

/**
 * Copies each finished WAL segment of a server into a repository, as an archiver would, so that tests of backups need
 * none; with a timeline, only that one's. A slot that never moves makes the server keep its WAL.
 */
export async function startWalFeeder(
  server: Pick<TestServer, 'target' | 'dataDirectory'>,
  repository: Repository,
  cluster: string,
  timeline?: number,
): Promise<AsyncDisposable> {
  const stop = new AbortController()
  const sql = await openSql(server.target)
  await sql.query(`SELECT pg_create_physical_replication_slot('feeder', true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'feeder')`)
  const ours = timeline === undefined ? '' : timeline.toString(16).toUpperCase().padStart(8, '0')
  const stored = new Set<string>()
  const feeding = (async () => {
    while (!stop.signal.aborted) {
      const [row] = await sql.query<{ current: string }>('SELECT pg_walfile_name(pg_current_wal_lsn() + 1) AS current')
      const names = (await readdir(join(server.dataDirectory, 'pg_wal'))).toSorted()
      for (const name of names) {
        if (!/^[0-9A-F]{24}$/.test(name) || !name.startsWith(ours) || stored.has(name) || name >= (row?.current ?? ''))
          continue
        const bytes = await readFile(join(server.dataDirectory, 'pg_wal', name))
        await putWalSegment(repository, { cluster, name, bytes })
        stored.add(name)
      }
      await delay(50, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })()
  // The server may be stopped under it; then there is nothing more to feed.
  const quiet = feeding.catch(() => undefined)
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await quiet
      await sql.close()
    },
  }
}
