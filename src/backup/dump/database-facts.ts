import type { Sql } from '../../postgres/sql.ts'

const ownSchemas = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`

/** The tables of the connected database that are not PostgreSQL's own; partitioned ones and partitions count each. */
export async function countTables(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ count: string }>(
    `select count(*) as count from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and ${ownSchemas}`,
  )
  return Number(row?.count)
}

/** Whether the connected database is as `CREATE DATABASE` makes it: no relation, function, type, schema or large object. */
export async function isEmptyDatabase(sql: Sql): Promise<boolean> {
  const [row] = await sql.query<{ empty: boolean }>(
    `select not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${ownSchemas})
        and not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${ownSchemas})
        and not exists (select from pg_type t join pg_namespace n on n.oid = t.typnamespace where ${ownSchemas})
        and not exists (select from pg_namespace n where ${ownSchemas} and n.nspname <> 'public')
        and not exists (select from pg_largeobject_metadata) as empty`,
  )
  return row?.empty === true
}
