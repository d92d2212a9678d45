/** What of a cluster is to be rescued: a whole database, or one table of it. */
export type RescueSubject =
  | { readonly kind: 'database'; readonly database: string }
  | { readonly kind: 'table'; readonly database: string; readonly schema: string; readonly table: string }

/**
 * Reads `db.schema.table`, where a part that has a dot in it, or a quote, is quoted as in SQL: `db."my.schema".table`.
 * Undefined when there are not three parts. Unlike in SQL upper case stays upper case.
 */
export function parseTableName(text: string): Extract<RescueSubject, { kind: 'table' }> | undefined {
  const part = /(?:"((?:[^"]|"")+)"|([^".]+))(\.|$)/y
  const parts: string[] = []
  while (part.lastIndex < text.length) {
    const match = part.exec(text)
    if (match === null) return undefined
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '' && part.lastIndex < text.length) return undefined
  }
  const [database, schema, table, ...more] = parts
  if (database === undefined || schema === undefined || table === undefined || more.length > 0) return undefined
  return text.endsWith('.') ? undefined : { kind: 'table', database, schema, table }
}

export function describeSubject(subject: RescueSubject): string {
  return subject.kind === 'database'
    ? `database ${subject.database}`
    : `table ${subject.schema}.${subject.table} of database ${subject.database}`
}

/** Where it goes when nobody says: a name beside the original that tells what it is and when it was made. */
export function nameBeside(subject: RescueSubject, epochMs: number): string {
  const stamp = new Date(epochMs)
    .toISOString()
    .replaceAll(/[-:]|\.\d+/g, '')
    .toLowerCase()
  const suffix = `restored_${stamp}`
  return subject.kind === 'database'
    ? `${shorten(subject.database, 62 - suffix.length)}_${suffix}`
    : `holdfast_${suffix}`
}

/** At most so many bytes in UTF-8: PostgreSQL cuts names off at 63 bytes without a word. */
function shorten(name: string, bytes: number): string {
  const encoded = new TextEncoder().encode(name).subarray(0, bytes)
  return new TextDecoder().decode(encoded).replaceAll('\uFFFD', '')
}
