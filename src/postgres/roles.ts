import type { Secret } from '../std/secret.ts'
import { quoteIdentifier, quoteLiteral } from './core/quoting.ts'
import { scramVerifier } from './scram-verifier.ts'
import type { Sql } from './sql.ts'

const rights = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS LOGIN REPLICATION'

/** Makes the role that standbys and the archiver connect as, or gives the existing one exactly these rights. */
export async function ensureReplicationRole(sql: Sql, name: string, password: Secret): Promise<void> {
  const found = await sql.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name])
  const verb = found.length === 0 ? 'CREATE' : 'ALTER'
  const verifier = quoteLiteral(await scramVerifier(password))
  await sql.query(`${verb} ROLE ${quoteIdentifier(name)} ${rights} PASSWORD ${verifier}`)
}
