import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import type { NodeStatus } from '../cluster/core/node-status.ts'
import type { EpochMs, MonotonicMs } from '../std/clock.ts'
import { isFault } from '../std/fault.ts'
import { silentLog } from '../std/log.ts'
import { httpFaults } from './faults.ts'
import { openHttpServer } from './server.ts'

const status: NodeStatus = {
  cluster: 'main',
  node: 'n1',
  agentVersion: '0.1.0',
  now: { wall: 0 as EpochMs, monotonic: 5 as MonotonicMs },
  role: 'primary',
  state: 'running',
  writableUntil: 10 as MonotonicMs,
  leaseTtlMs: 5000,
  lastCycleAt: 5 as MonotonicMs,
  paused: false,
  systemIdentifier: null,
  serverVersionNumber: null,
  postmasterStartedAt: null,
  timeline: null,
  positions: { written: null, received: null, replayed: null, replayedAt: null, replayPaused: false, latestEnd: null },
  replicationState: null,
  replication: [],
  durability: null,
  tags: { noFailover: false, noSync: false, noLoadBalance: false },
  labels: {},
  view: null,
  coordinatorSeenAt: null,
}

const options = {
  address: '127.0.0.1',
  port: 0,
  log: silentLog,
  currentStatus: () => status,
  details: () => ({ archivers: [] }),
}

function ask(port: number, method: string, path: string): Promise<{ readonly code: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method, path }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (body += part))
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body }))
    })
      .on('error', reject)
      .end()
  })
}

test('GET, HEAD and OPTIONS have one status; only GET has a body', async () => {
  await using server = await openHttpServer(options)
  for (const [path, code] of [
    ['/', 200],
    ['/primary', 200],
    ['/replica', 503],
    ['/nothing', 503],
    ['/liveness', 200],
  ] as const) {
    assert.deepEqual(await ask(server.port, 'HEAD', path), { code, body: '' })
    assert.deepEqual(await ask(server.port, 'OPTIONS', path), { code, body: '' })
    assert.equal((await ask(server.port, 'GET', path)).code, code)
  }
  const { body } = await ask(server.port, 'GET', '/replica?lag=1')
  assert.equal((JSON.parse(body) as { role: string }).role, 'primary', 'a failed check still says what the node is')
})

test('nothing can be changed', async () => {
  await using server = await openHttpServer(options)
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    assert.equal((await ask(server.port, method, '/switchover')).code, 405)
  }
})

test('a status that cannot be told is 503, not a crash', async () => {
  await using server = await openHttpServer({
    ...options,
    currentStatus: () => {
      throw new Error('not yet')
    },
  })
  assert.equal((await ask(server.port, 'GET', '/primary')).code, 503)
})

test('before the agent can say anything every check is 503', async () => {
  await using server = await openHttpServer({ ...options, currentStatus: () => undefined })
  for (const path of ['/primary', '/patroni', '/liveness']) {
    assert.deepEqual(await ask(server.port, 'GET', path), { code: 503, body: '' })
  }
  assert.deepEqual(await ask(server.port, 'GET', '/holdfast'), { code: 200, body: '{"archivers":[]}' })
})

test('a port in use and a foreign address are faults of their own', async () => {
  await using server = await openHttpServer(options)
  await assert.rejects(openHttpServer({ ...options, port: server.port }), (error) =>
    isFault(error, httpFaults['http-port-in-use']),
  )
  await assert.rejects(openHttpServer({ ...options, address: '192.0.2.1' }), (error) =>
    isFault(error, httpFaults['http-address-unusable']),
  )
})

test('closing ends open connections and frees the port', async () => {
  const first = await openHttpServer(options)
  const { Agent } = await import('node:http')
  const agent = new Agent({ keepAlive: true })
  await new Promise((resolve) =>
    request({ host: '127.0.0.1', port: first.port, agent }, (response) => response.resume().on('end', resolve)).end(),
  )
  await first[Symbol.asyncDispose]()
  agent.destroy()
  await using second = await openHttpServer({ ...options, port: first.port })
  assert.equal(second.port, first.port)
})
