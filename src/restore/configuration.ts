import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { quoteConfValue } from '../postgres/core/quoting.ts'
import { writeFileDurably } from '../std/durable-file.ts'

const includeLine = "include_if_exists = 'holdfast.conf'"

/**
 * Makes settings win in a restored data directory: they go into `holdfast.conf`, which `postgresql.conf` includes last,
 * and what ALTER SYSTEM said of them is taken out of `postgresql.auto.conf`, which is read after all else.
 */
export async function writeRestoredConfiguration(
  dataDirectory: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoteConfValue(value)}`)
  const head = '# Written by Holdfast for a restored copy: it reaches nobody until a person makes it a primary.'
  await writeFileDurably(join(dataDirectory, 'holdfast.conf'), `${[head, ...lines].join('\n')}\n`)
  // A backup of a server whose configuration lay elsewhere has none of these files.
  const main = (await readIfThere(join(dataDirectory, 'postgresql.conf'))) ?? ''
  const kept = main.split('\n').filter((line) => line !== includeLine)
  const text = `${[...kept.join('\n').trimEnd().split('\n'), includeLine].join('\n').trimStart()}\n`
  if (text !== main) await writeFileDurably(join(dataDirectory, 'postgresql.conf'), text)
  const auto = (await readIfThere(join(dataDirectory, 'postgresql.auto.conf'))) ?? ''
  const cleaned = withoutSettings(auto, Object.keys(settings))
  if (cleaned !== auto) await writeFileDurably(join(dataDirectory, 'postgresql.auto.conf'), cleaned)
  for (const name of ['pg_hba.conf', 'pg_ident.conf']) {
    const missing = (await readIfThere(join(dataDirectory, name))) === undefined
    if (missing) await writeFileDurably(join(dataDirectory, name), '')
  }
}

/** A configuration file's text without the lines that set one of these parameters. */
export function withoutSettings(text: string, names: readonly string[]): string {
  const dropped = new Set(names.map((name) => name.toLowerCase()))
  return text
    .split('\n')
    .filter((line) => !dropped.has(/^\s*([\w.]+)[\s=]/.exec(line)?.[1]?.toLowerCase() ?? ''))
    .join('\n')
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
