import type { NodeStatus } from '../cluster/core/node-status.ts'
import type { Log } from '../std/log.ts'

/** The HTTP server as the agent command sees it; `src/http/server.ts` is it. */
export interface HttpServer extends AsyncDisposable {
  readonly address: string
  readonly port: number
}

export interface HttpServerOptions {
  readonly address: string
  readonly port: number
  readonly currentStatus: () => NodeStatus | undefined
  readonly details: () => object
  readonly log: Log
}
