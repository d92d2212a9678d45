/** One line of a libpq password file. Unix sockets are written as `localhost` or their directory; `*` matches all. */
export interface PassFileEntry {
  readonly host: string
  readonly port: number | '*'
  readonly database: string
  readonly user: string
}

/** A line of a libpq password file: colons and backslashes are escaped. Source: passwordFromFile in fe-connect.c. */
export function renderPassFileLine(entry: PassFileEntry, password: string): string {
  const fields = [entry.host, String(entry.port), entry.database, entry.user, password]
  return `${fields.map((field) => field.replaceAll('\\', '\\\\').replaceAll(':', '\\:')).join(':')}\n`
}
