import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { endThread } from './end-thread.ts'

function thread(script: string): Worker {
  const url = new URL('./end-thread.ts', import.meta.url).href
  const code = `import { parentPort } from 'node:worker_threads'; import { receiveUntilEnded } from '${url}'; ${script}`
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`))
}

test('a thread that waits for messages ends when it is told to, and may be ended again', async () => {
  const worker = thread(`receiveUntilEnded(parentPort, (message) => parentPort.postMessage(message + 1))`)
  worker.postMessage(1, [])
  assert.deepEqual(await once(worker, 'message'), [2])
  await endThread(worker)
  assert.equal(worker.threadId, -1)
  await endThread(worker)
})

test('a thread in the middle of compressing ends without taking the process with it', async () => {
  for (let round = 0; round < 5; round += 1) {
    const worker = thread(`
      import { zstdCompressSync } from 'node:zlib'
      const bytes = Buffer.alloc(4096)
      receiveUntilEnded(parentPort, () => {
        const step = () => { for (let n = 0; n < 50; n += 1) zstdCompressSync(bytes); setImmediate(step) }
        step()
        parentPort.postMessage('begun')
      })`)
    worker.postMessage('begin', [])
    await once(worker, 'message')
    await endThread(worker)
    assert.equal(worker.threadId, -1)
  }
})
