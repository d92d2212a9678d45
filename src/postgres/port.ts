import { createServer } from 'node:net'
import { Fault } from '../std/fault.ts'
import { postgresFaults } from './faults.ts'

/** Fails with `postgres-port-in-use` when one of the addresses cannot be listened on, before a server tries to. */
export async function requireFreePort(port: number, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const error = await tryListen(port, address === '*' ? undefined : address)
    if (error === undefined) continue
    if (error.code === 'EADDRINUSE') {
      throw new Fault(
        postgresFaults['postgres-port-in-use'],
        `Cannot start PostgreSQL on port ${port}: another program listens on ${address}:${port}`,
        { details: { port, address }, cause: error },
      )
    }
    throw new Fault(
      postgresFaults['postgres-start-failed'],
      `Cannot start PostgreSQL on ${address}:${port}: ${error.message}`,
      { details: { port, address }, cause: error, hint: 'Check that the address belongs to this machine.' },
    )
  }
}

/** A port that was free on an address a moment ago, chosen by the kernel. */
export function freePort(address = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, address, () => {
      const found = server.address()
      server.close(() =>
        found !== null && typeof found === 'object' ? resolve(found.port) : reject(new Error('no port')),
      )
    })
  })
}

function tryListen(port: number, host: string | undefined): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', resolve)
    server.listen({ port, ...(host === undefined ? {} : { host }), exclusive: true }, () => {
      server.close(() => resolve(undefined))
    })
  })
}
