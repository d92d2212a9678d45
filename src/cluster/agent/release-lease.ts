import type { MonotonicMs } from '../../std/clock.ts'
import type { AgentContext } from './agent-context.ts'
import { stopServer } from './stop-server.ts'

interface Release {
  readonly because: string
  /** How long this node leaves the leadership to the others. */
  readonly yieldMs: number
}

/** Gives up the lease of a node whose server does not run. */
export async function releaseLease({ options, memory, events, keeper }: AgentContext, release: Release): Promise<void> {
  memory.yieldUntil = (options.clock.monotonic() + release.yieldMs) as MonotonicMs
  events.note('lease-released', { because: release.because })
  await keeper.release()
}

/** Ends a server that is no use any more, and gives up the lease only when nothing of it can write (L1). */
export async function handOver(context: AgentContext, release: Release): Promise<void> {
  await stopServer(context, release.because, AbortSignal.timeout(60_000), 'immediate')
  await releaseLease(context, release)
}
