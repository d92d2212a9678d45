import { Hono } from 'hono'
import type { NodeStatus } from '../cluster/core/node-status.ts'
import type { Log } from '../std/log.ts'
import { firstSegment, healthStatusCode } from './core/health.ts'
import { clusterBody, historyBody, patroniBody } from './core/patroni-body.ts'
import type { Json } from './core/patroni-body.ts'

export interface AppOptions {
  /** Called for every request; undefined while the agent cannot say anything yet, which is 503. */
  readonly currentStatus: () => NodeStatus | undefined
  /** What `/holdfast` tells besides: what the agent runs, for `holdfast status`. */
  readonly details: () => object
  readonly log: Log
}

/** The agent's HTTP interface: health checks only, so it needs no authentication, and it never changes anything. */
export function createApp({ currentStatus, details, log }: AppOptions): Hono {
  const app = new Hono({ strict: true })
  app.on(['GET', 'HEAD', 'OPTIONS'], '*', (context) => {
    const { path } = context.req
    const status = currentStatus()
    if (firstSegment(path) === 'holdfast' && context.req.method === 'GET') return context.json(details())
    if (status === undefined) return context.body(null, 503)
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
