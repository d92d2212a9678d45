/** How a backup was made from its predecessor. */
export type BackupKind = 'full'

/**
 * Name of a backup: its start in UTC, its kind, and four characters against two that start in the same second. Names
 * sort by time as text. `random` gives the characters and must be at least four hexadecimal digits.
 */
export function backupId(startedAt: number, kind: BackupKind, random: string): string {
  const time = new Date(startedAt)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '')
  return `${time}-${kind}-${random.slice(0, 4)}`
}
