import { ensureFencer } from '../fencer/ensure-fencer.ts'
import type { FencerClient } from '../fencer/fencer-client.ts'
import type { FencerEvent } from '../fencer/core/protocol.ts'
import type { AgentOptions } from './agent-options.ts'

/** The node's fencer, and another one should it die: then nothing of the server it had is left running. */
export interface FencerHolder extends AsyncDisposable {
  readonly current: FencerClient
}

export async function openFencerHolder(
  options: AgentOptions,
  listeners: { readonly onEvent: (event: FencerEvent) => void; readonly onReplaced: () => void },
): Promise<FencerHolder> {
  const { stateDirectory, clock, log } = options
  const closing = new AbortController()
  const timing = { fastBeforeMs: options.lease.stopAheadMs, immediateBeforeMs: options.lease.killAheadMs }
  const attach = async (): Promise<FencerClient> => {
    const client = await ensureFencer({ stateDirectory, clock, timing })
    client.onEvent(listeners.onEvent)
    void client.lost.then(() => replace(client))
    return client
  }
  const replace = async (lost: FencerClient): Promise<void> => {
    for (let wait = 100; !closing.signal.aborted; wait = Math.min(5000, wait * 2)) {
      try {
        log.error('the fencer has died', { fencerPid: lost.fencerPid })
        await lost.killOrphans()
        await lost[Symbol.asyncDispose]()
        current = await attach()
        listeners.onReplaced()
        return
      } catch (error) {
        log.error('the fencer could not be replaced', { error })
        await clock.sleep(wait, { signal: closing.signal }).catch(() => undefined)
      }
    }
  }
  let current = await attach()
  return {
    get current() {
      return current
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      await current[Symbol.asyncDispose]()
    },
  }
}
