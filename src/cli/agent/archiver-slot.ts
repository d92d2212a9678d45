import type { Config } from '../../config/schema.ts'
import { withSql } from '../../postgres/sql.ts'
import { localSuperuser } from '../local-server.ts'

const prefix = 'holdfast_archive_'
const patienceMs = 5000

/** The slot of a repository's archiver. No node may be called like this: `node.name` does not begin with `archive-`. */
export function archiverSlot(repository: string): string {
  return `${prefix}${repository.replaceAll('-', '_')}`
}

/**
 * Removes the slots of archivers that no longer run: of a repository that is a copy now, has another name, or is not
 * configured any more. Such a slot would keep WAL until it is full. Only for when the archiver of the first repository
 * streams, so that nothing of what they keep is still wanted.
 */
export async function dropOldArchiverSlots(config: Config): Promise<readonly string[]> {
  const [first] = config.repositories
  if (first === undefined) return []
  const options = { connectTimeoutMs: patienceMs, statementTimeoutMs: patienceMs }
  return await withSql(await localSuperuser(config), options, async (sql) => {
    const dropped = await sql.query<{ name: string }>(
      `SELECT slot_name AS name, pg_drop_replication_slot(slot_name) FROM pg_replication_slots
        WHERE starts_with(slot_name, $1) AND slot_name <> $2 AND NOT active`,
      [prefix, archiverSlot(first.name)],
    )
    return dropped.map(({ name }) => name)
  })
}
