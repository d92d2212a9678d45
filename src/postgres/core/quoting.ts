/** Quotes a value for `postgresql.conf`, by the rules of guc-file.l: backslash escapes and doubled quotes. */
export function quoteConfValue(value: string): string {
  const escaped = value.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n').replaceAll('\r', '\\r')
  return `'${escaped}'`
}

/** Quotes a name or address for `pg_hba.conf`; a quoted keyword such as "all" loses its meaning there, as it should. */
export function quoteHbaToken(token: string): string {
  return `"${token.replaceAll('"', '""')}"`
}

/** Quotes one value of a libpq connection string, by the rules of conninfo_parse. */
export function quoteConninfoValue(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** Quotes an SQL identifier. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Quotes an SQL string literal for any setting of `standard_conforming_strings`. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return text.includes('\\') ? ` E${quoted}` : quoted
}

/** True when a text can stand on one line of a configuration file: no line breaks, no other control characters. */
export function isOneLine(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return !/[\u0000-\u001f\u007f]/.test(text)
}
