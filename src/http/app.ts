import { Hono } from 'hono'
import type { NodeStatus } from '../cluster/core/node-status.ts'
import type { Log } from '../std/log.ts'
import { firstSegment, healthStatusCode } from './core/health.ts'
import { clusterBody, historyBody, patroniBody } from './core/patroni-body.ts'
import type { Json } from './core/patroni-body.ts'

/** The agent's HTTP interface: health checks only, so it needs no authentication, and it never changes anything. */
export function createApp(currentStatus: () => NodeStatus, log: Log): Hono {
  const app = new Hono({ strict: true })
  app.on(['GET', 'HEAD', 'OPTIONS'], '*', (context) => {
    const { path } = context.req
    const status = currentStatus()
    const statusCode = healthStatusCode(path, context.req.query(), status)
    const body = context.req.method === 'GET' ? bodyOf(path, status) : undefined
    return body === undefined ? context.body(null, statusCode) : context.json(body, statusCode)
  })
  app.all('*', (context) => context.body(null, 405, { Allow: 'GET, HEAD, OPTIONS' }))
  app.onError((error, context) => {
    log.error('health request failed', { error, path: context.req.path })
    return context.body(null, 503)
  })
  return app
}

function bodyOf(path: string, status: NodeStatus): Json | undefined {
  switch (firstSegment(path)) {
    case 'liveness':
    case 'readiness':
    case 'config':
    case 'failsafe':
      return undefined
    case 'cluster':
      return clusterBody(status)
    case 'history':
      return historyBody(status)
    default:
      return patroniBody(status)
  }
}
