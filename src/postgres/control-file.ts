import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../std/fault.ts'
import { parseControlFile } from './core/control-file.ts'
import type { ControlFile } from './core/control-file.ts'
import { postgresFaults } from './faults.ts'

const attempts = 10

/**
 * Reads `global/pg_control` without any program of PostgreSQL. A running server may be writing it, so a wrong checksum
 * counts only when it stays wrong, as for pg_controldata.
 */
export async function readControlFile(dataDirectory: string): Promise<ControlFile> {
  const path = join(dataDirectory, 'global', 'pg_control')
  for (let attempt = 1; ; attempt += 1) {
    const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
      throw new Fault(
        postgresFaults['postgres-no-data-directory'],
        `Cannot use ${dataDirectory} as a data directory: global/pg_control cannot be read (${cause.code ?? cause.message})`,
        { cause, details: { dataDirectory } },
      )
    })
    const parsed = parseControlFile(bytes)
    if ('control' in parsed) return parsed.control
    if (parsed.unsupported === true) {
      throw new Fault(postgresFaults['postgres-wrong-major'], `Cannot read ${path}: ${parsed.corrupt}`, {
        details: { dataDirectory },
      })
    }
    if (attempt === attempts) {
      throw new Fault(postgresFaults['postgres-control-file-corrupt'], `Cannot read ${path}: ${parsed.corrupt}`, {
        details: { dataDirectory },
      })
    }
  }
}

/** Fails with `postgres-foreign-system` when a directory belongs to another cluster than the expected one. */
export async function requireSystemIdentifier(dataDirectory: string, expected: bigint): Promise<ControlFile> {
  const control = await readControlFile(dataDirectory)
  if (control.systemIdentifier === expected) return control
  throw new Fault(
    postgresFaults['postgres-foreign-system'],
    `Cannot use ${dataDirectory}: its system identifier is ${control.systemIdentifier}, the cluster's is ${expected}`,
    { details: { dataDirectory, found: String(control.systemIdentifier), expected: String(expected) } },
  )
}
