import type { MessagePort, Worker } from 'node:worker_threads'

const endMessage = 'holdfast: end'
const patienceMs = 5000

/**
 * Ends a thread between two messages of its own, and waits for it. `Worker.terminate` alone may hit it while Node.js makes
 * a compressor in it, whose unfinished state then ends the whole process (Node.js 24, "close before init"); it is left for
 * a thread that hangs.
 */
export async function endThread(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  const exited = new Promise<'exited'>((resolve) => worker.once('exit', () => resolve('exited')))
  // What it says on its way out changes nothing any more.
  worker.on('error', () => undefined)
  worker.postMessage(endMessage, [])
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => resolve('late'), patienceMs)
  const outcome = await Promise.race([exited, late])
  clearTimeout(timer)
  if (outcome === 'late') await worker.terminate()
}

/** In the thread: gives its messages to `receive` until {@link endThread} is called on it. */
export function receiveUntilEnded(port: MessagePort, receive: (message: unknown) => void): void {
  port.on('message', (message: unknown) => {
    if (message === endMessage) process.exit()
    receive(message)
  })
}
