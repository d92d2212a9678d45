import { writeFileDurably } from '../std/durable-file.ts'
import { Fault } from '../std/fault.ts'
import type { Secret } from '../std/secret.ts'
import { renderPassFileLine } from './core/pass-file.ts'
import type { PassFileEntry } from './core/pass-file.ts'
import { isOneLine } from './core/quoting.ts'
import { postgresFaults } from './faults.ts'

/** Writes a libpq password file that only we can read; the first line that matches a connection counts. */
export async function writePassFile(
  path: string,
  entries: readonly { readonly entry: PassFileEntry; readonly password: Secret }[],
): Promise<void> {
  const lines = entries.map(({ entry, password }) => renderPassFileLine(entry, password.reveal()))
  if (lines.some((line) => !isOneLine(line.slice(0, -1)))) {
    throw new Fault(
      postgresFaults['postgres-setting-refused'],
      `Cannot write ${path}: a password or name has a control character`,
      { hint: 'Put a password of one line into the password file.' },
    )
  }
  await writeFileDurably(path, lines.join(''), { mode: 0o600 })
}
