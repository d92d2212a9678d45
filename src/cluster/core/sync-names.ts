import type { SyncSet } from './sync-set.ts'

/** A set that nobody can satisfy: under it every commit waits. */
export const gate: SyncSet = { names: ['holdfast_gate'], count: 1 }

/** The value of `synchronous_standby_names`. A set that names nobody but asks for somebody waits for ever, as it says. */
export function renderSyncNames(sync: SyncSet): string {
  if (sync.count === 0) return ''
  const names = sync.names.length === 0 ? gate.names : sync.names
  return `ANY ${sync.count} (${names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')})`
}

/** Reads what {@link renderSyncNames} has written; undefined when somebody else wrote it. */
export function parseSyncNames(text: string): SyncSet | undefined {
  if (text === '') return { names: [], count: 0 }
  const match = /^ANY (\d+) \(("[^"]+"(?:, "[^"]+")*)\)$/.exec(text)
  if (match === null) return undefined
  const names = (match[2] ?? '').split(', ').map((name) => name.slice(1, -1))
  return { names, count: Number(match[1]) }
}
