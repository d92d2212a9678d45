import type { Log } from '../../std/log.ts'
import type { AgentOptions, Leadership } from './agent-options.ts'

/** Runs what accompanies a leadership (the archiver) for as long as this node is the writable leader of one term. */
export interface Companion {
  /** The present leadership; null when this node has none. */
  update(leadership: Leadership | null): void
  stop(): Promise<void>
}

export function createCompanion(whileLeading: AgentOptions['whileLeading'], log: Log): Companion {
  let term: number | null = null
  let controller: AbortController | undefined
  let work: Promise<void> = Promise.resolve()
  const end = (): void => {
    controller?.abort()
    controller = undefined
    term = null
  }
  return {
    update: (leadership) => {
      if (whileLeading === undefined || leadership?.term === (term ?? undefined)) return
      end()
      if (leadership === null) return
      const { signal } = (controller = new AbortController())
      term = leadership.term
      work = work
        .then(() => (signal.aborted ? undefined : whileLeading(leadership, signal)))
        .catch((error: unknown) => {
          if (!signal.aborted) log.error('what accompanies the leadership has ended', { error })
        })
    },
    stop: async () => {
      end()
      await work
    },
  }
}
