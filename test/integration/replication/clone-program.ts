/**
 * Clones as a process of its own, so that a test can take the disk from it or kill it. What to do comes as JSON in
 * `CLONE_ORDER`; prints as JSON the code of the fault, if any, and what is in the directory afterwards.
 */
import { readdir } from 'node:fs/promises'
import { cloneDataDirectory } from '../../../src/postgres/clone/clone-data-directory.ts'
import { isFault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'

export interface CloneOrder {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly dataDirectory: string
  readonly slot: string
  /** Ends the process with SIGKILL once so much has been received. */
  readonly killAtBytes?: number
}

export interface CloneOutcome {
  readonly code: string | null
  readonly entries: readonly string[]
}

const order = JSON.parse(process.env['CLONE_ORDER'] ?? '') as CloneOrder
const target = { ...order, password: new Secret(order.password), database: 'postgres' }
let code: string | null = null
try {
  await cloneDataDirectory(target, order.dataDirectory, {
    slot: order.slot,
    onProgress: ({ receivedBytes }) => {
      if (order.killAtBytes !== undefined && receivedBytes > order.killAtBytes) process.kill(process.pid, 'SIGKILL')
    },
  })
} catch (error) {
  code = isFault(error) ? error.code : String(error)
}
process.stdout.write(JSON.stringify({ code, entries: await readdir(order.dataDirectory) } satisfies CloneOutcome))
