import type { Clock } from '../std/clock.ts'
import type { ServerSession } from './server-session.ts'

const heartbeatMs = 5000

/** Ends `work` early when the server is not there any more: what it copies then is of no use. */
export async function whileServerLives<Result>(
  server: ServerSession,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const { clock, signal } = options
  const ended = new AbortController()
  const finished = new AbortController()
  const beating = (async () => {
    while (!finished.signal.aborted) {
      await clock.sleep(heartbeatMs, { signal: finished.signal })
      await server.assertUnchanged()
    }
  })().catch((error: unknown) => {
    if (!finished.signal.aborted) ended.abort(error)
  })
  try {
    return await work(signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]))
  } finally {
    finished.abort()
    await beating
  }
}
