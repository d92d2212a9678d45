/** A line of a file below `/etc/cron.d`: cron takes `%` for the end of the command, the shell takes the rest. */
export function crontabLine(line: {
  readonly fields: string
  readonly user: string
  readonly command: readonly string[]
}): string {
  const command = `${line.command.map(quoteForShell).join(' ')} > /dev/null`
  return `${line.fields} ${line.user} ${command.replaceAll('%', '\\%')}`
}

function quoteForShell(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word
  return `'${word.replaceAll("'", `'\\''`)}'`
}
