import type { AgentContext } from './agent-context.ts'

/** A clean stop sends all WAL to the standbys first; one that does not end is made to. */
const thenKillAfterMs = { fast: 30_000, immediate: 1000 }

/** Stops PostgreSQL as the fencer's child, and resolves when none of its processes is left. */
export async function stopServer(
  context: AgentContext,
  because: string,
  signal: AbortSignal,
  mode: 'fast' | 'immediate' = 'fast',
): Promise<void> {
  const { facts, prover, memory, events, fencer } = context
  await prover.stop()
  await facts.close()
  context.stopping = true
  try {
    const exit = await fencer().stop({ mode, thenKillAfterMs: thenKillAfterMs[mode] }, { signal })
    events.note('postgres-stopped', { because, fenced: exit?.fenced ?? false })
  } finally {
    context.stopping = false
  }
  memory.forgetServer()
  context.answered = false
}
