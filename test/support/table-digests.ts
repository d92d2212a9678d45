import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import { withSql } from '../../src/postgres/sql.ts'

/** All rows of a table in one figure: equal only where every column of every row is (a sum of 64-bit hashes). */
export interface TableDigest {
  readonly table: string
  readonly rows: string
  readonly digest: string
}

const statementTimeoutMs = 300_000

/** Reads every row of every table that is not PostgreSQL's own, in one snapshot. */
export async function digestTables(target: ConnectionTarget): Promise<readonly TableDigest[]> {
  return await withSql(target, { statementTimeoutMs }, async (sql) => {
    // Servers of one cluster need not agree on how they print; their sessions here do.
    for (const setting of ["timezone = 'UTC'", "datestyle = 'ISO'", 'extra_float_digits = 1']) {
      await sql.query(`set ${setting}`)
    }
    await sql.query('begin isolation level repeatable read, read only')
    const tables = await sql.query<{ name: string }>(
      `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'm') and n.nspname !~ '^(pg_|information_schema$)' order by 1`,
    )
    const digests: TableDigest[] = []
    for (const { name } of tables) {
      const [row] = await sql.query<{ rows: string; digest: string }>(
        `select count(*)::text as rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text as digest from only ${name} t`,
      )
      if (row === undefined) throw new Error('no answer')
      digests.push({ table: name, ...row })
    }
    await sql.query('commit')
    return digests
  })
}
