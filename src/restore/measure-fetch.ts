import { openPack } from '../repository/pack-reader.ts'
import type { Repository } from '../repository/repository.ts'
import { readStored } from '../repository/stored-objects.ts'
import type { Clock } from '../std/clock.ts'
import type { RestoreForecast } from './core/forecast.ts'
import type { PlannedRestore } from './plan-from-repository.ts'

/**
 * A forecast for a machine on which nothing was restored yet: one pack is fetched and opened, and the time taken times
 * the packs there are. It proves on the way that the store answers and that the key opens the backup.
 */
export async function measureFetch(
  repository: Repository,
  { commit }: PlannedRestore,
  options: { readonly workers: number; readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<RestoreForecast | undefined> {
  const { packs } = commit.facts
  const largest = packs.reduce<(typeof packs)[number] | undefined>(
    (best, pack) => (pack.sizeBytes > (best?.sizeBytes ?? 0) ? pack : best),
    undefined,
  )
  if (largest === undefined) return undefined
  const began = options.clock.monotonic()
  const bytes = await readStored(repository.store, largest.key, { signal: options.signal })
  const pack = openPack(repository.keyring, largest.key, bytes, largest)
  for (const number of pack.records.keys()) pack.readBriefly(number)
  const tookMs = options.clock.monotonic() - began
  const total = packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const filesMs = (tookMs * total) / largest.sizeBytes / options.workers
  const basis = 'from fetching and opening one pack now, without the time for writing: nothing was restored here yet'
  return { filesMs, recoveryMs: undefined, basis }
}
