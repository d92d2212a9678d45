import { parentPort, workerData } from 'node:worker_threads'
import { Fault } from '../std/fault.ts'
import { receiveUntilEnded } from '../std/end-thread.ts'
import { openWalPack, sealWalPack, type WalSealing } from './wal-pack.ts'
import type { FromWalWorker, ToWalWorker } from './wal-threads.ts'

/** A thread that seals and opens WAL objects, one after the other. */
const sealing = workerData as WalSealing
const port = parentPort
if (port === null) throw new Error('this file is a worker thread')

const answer = (result: FromWalWorker, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(result, transfer)

receiveUntilEnded(port, (message) => {
  const task = message as ToWalWorker
  try {
    const bytes =
      task.kind === 'seal'
        ? sealWalPack(sealing, task.object, task.place, task.bytes)
        : openWalPack(sealing.keyring, task.object, task.bytes, task.type)
    // Stored WAL that was opened is of no use any more.
    const plain = task.kind === 'seal' ? task.bytes : new Uint8Array(0)
    answer({ kind: 'done', bytes, plain }, [bytes.buffer as ArrayBuffer, plain.buffer as ArrayBuffer])
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    answer({ kind: 'fault', code: error.code, message: error.message, details: error.details })
  }
})
