import { appendFile, readFile } from 'node:fs/promises'
import type { RestoreMeasurement } from './core/forecast.ts'

/** What earlier restores on this machine took; lines that cannot be read do not count. */
export async function readRestoreHistory(file: string): Promise<readonly RestoreMeasurement[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => {
    try {
      const found = JSON.parse(line) as RestoreMeasurement
      return [found.writtenBytes, found.filesMs, found.walBytes, found.recoveryMs].every(Number.isFinite) ? [found] : []
    } catch {
      return []
    }
  })
}

/** A machine that is only restored to may have no place for it; then there will be no forecast. */
export async function recordRestore(file: string, measurement: RestoreMeasurement): Promise<void> {
  await appendFile(file, `${JSON.stringify(measurement)}\n`, { mode: 0o600 }).catch(() => undefined)
}
