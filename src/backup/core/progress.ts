/** How far a backup is. `etaMs` is undefined until enough was done to tell. */
export interface BackupProgress {
  readonly stage: 'starting' | 'copying' | 'waiting-for-wal' | 'committing' | 'done'
  readonly bytesDone: number
  readonly bytesTotal: number
  readonly filesDone: number
  readonly files: number
  readonly elapsedMs: number
  readonly etaMs: number | undefined
}

/** Time left at the mean speed so far; undefined in the first moments, whose speed says nothing. */
export function estimateRemaining(bytesDone: number, bytesTotal: number, elapsedMs: number): number | undefined {
  if (elapsedMs < 500 || bytesDone === 0) return undefined
  return Math.max(0, Math.round((elapsedMs * (bytesTotal - bytesDone)) / bytesDone))
}
