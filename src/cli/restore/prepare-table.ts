import { quoteIdentifier } from '../../postgres/core/quoting.ts'
import type { Sql } from '../../postgres/sql.ts'
import { Fault } from '../../std/fault.ts'
import { restoreFaults } from '../../restore/faults.ts'
import { describeSubject } from './rescue-names.ts'
import type { RescueSubject } from './rescue-names.ts'

type TableSubject = Extract<RescueSubject, { kind: 'table' }>

/** Throws `restore-subject-missing` unless the copy has the table, as an ordinary or a partitioned one. */
export async function requireTable(sql: Sql, subject: TableSubject): Promise<void> {
  const [found] = await sql.query<{ kind: string }>(
    `select c.relkind as kind from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relname = $2`,
    [subject.schema, subject.table],
  )
  if (found?.kind === 'r' || found?.kind === 'p') return
  const why = found === undefined ? 'there was none at that moment' : 'it is no table'
  throw new Fault(restoreFaults['restore-subject-missing'], `Cannot rescue ${describeSubject(subject)}: ${why}`)
}

/**
 * Moves a table of the copy, with its partitions, indexes, constraints and the sequences that it owns, into a schema of
 * its own, under which it can be loaded beside the original. What would tie it to other tables is left behind: foreign
 * keys, triggers, and its place below a parent.
 */
export async function moveTableAside(sql: Sql, subject: TableSubject, schema: string): Promise<void> {
  const name = `${quoteIdentifier(subject.schema)}.${quoteIdentifier(subject.table)}`
  await sql.query(`create schema ${quoteIdentifier(schema)}`)
  const family = await sql.query<{ oid: string; name: string }>(
    `select c.oid::text as oid, format('%I.%I', n.nspname, c.relname) as name
     from (select $1::regclass as relid union select relid from pg_partition_tree($1::regclass)) t
     join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace order by c.oid`,
    [name],
  )
  const oids = family.map(({ oid }) => oid)
  const parents = await sql.query<{ name: string; partition: boolean }>(
    `select format('%I.%I', n.nspname, p.relname) as name, p.relkind = 'p' as partition
     from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_namespace n on n.oid = p.relnamespace
     where i.inhrelid = $1::regclass`,
    [name],
  )
  for (const parent of parents) {
    await sql.query(
      parent.partition
        ? `alter table ${parent.name} detach partition ${name}`
        : `alter table ${name} no inherit ${parent.name}`,
    )
  }
  const ties = await sql.query<{ statement: string }>(
    `select format('alter table %s drop constraint if exists %I', conrelid::regclass, conname) as statement
     from pg_constraint where contype = 'f' and conparentid = 0 and (conrelid = any($1::oid[]) or confrelid = any($1::oid[]))
     union all
     select format('drop trigger %I on %s', tgname, tgrelid::regclass)
     from pg_trigger where not tgisinternal and tgparentid = 0 and tgrelid = any($1::oid[])`,
    [`{${oids.join(',')}}`],
  )
  for (const { statement } of ties) await sql.query(statement)
  for (const member of family) await sql.query(`alter table ${member.name} set schema ${quoteIdentifier(schema)}`)
}
