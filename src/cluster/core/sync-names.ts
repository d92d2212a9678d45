import type { SyncSet } from './sync-set.ts'

/** A set that nobody can satisfy: under it every commit waits. */
export const gate: SyncSet = { names: ['holdfast_gate'], count: 1 }

/** The value of `synchronous_standby_names`. A set that names nobody but asks for somebody waits for ever, as it says. */
export function renderSyncNames(sync: SyncSet): string {
  if (sync.count === 0) return ''
  const names = sync.names.length === 0 ? gate.names : sync.names
  return `ANY ${sync.count} (${names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')})`
}
