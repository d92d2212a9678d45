import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Fault } from '../std/fault.ts'
import { createApp } from './app.ts'
import type { AppOptions } from './app.ts'
import { httpFaults } from './faults.ts'

export interface HttpServer extends AsyncDisposable {
  readonly address: string
  /** The port it listens on, which differs from the configured one only when that was 0. */
  readonly port: number
}

/** A health check is one small request; whoever takes longer than this to send it is not a load balancer. */
const requestDeadlineMs = 5000

/**
 * Starts the HTTP server; disposing closes it and every open connection. Throws `http-port-in-use` or
 * `http-address-unusable`.
 */
export async function openHttpServer(
  options: AppOptions & { readonly address: string; readonly port: number },
): Promise<HttpServer> {
  const app = createApp(options)
  const server = createServer(
    { requestTimeout: requestDeadlineMs, headersTimeout: requestDeadlineMs, keepAliveTimeout: requestDeadlineMs },
    getRequestListener(app.fetch),
  )
  server.maxConnections = 512
  await listen(server, options.address, options.port)
  const { address, port } = server.address() as AddressInfo
  return { address, port, [Symbol.asyncDispose]: () => close(server) }
}

function listen(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenFault(address, port, error)))
    server.listen({ host: address, port }, resolve)
  })
}

function listenFault(address: string, port: number, cause: NodeJS.ErrnoException): Fault {
  const details = { address, port }
  if (cause.code === 'EADDRINUSE') {
    const message = `Cannot serve HTTP on ${address}:${port}: the port is in use`
    return new Fault(httpFaults['http-port-in-use'], message, { details, cause })
  }
  const message = `Cannot serve HTTP on ${address}:${port}: ${cause.code ?? cause.message}`
  return new Fault(httpFaults['http-address-unusable'], message, { details, cause })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)))
    server.closeAllConnections()
  })
}
