import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { FencerEvent, LeaseDeadline, PostgresStart } from '../../../src/cluster/fencer/core/protocol.ts'
import type { FencerTiming } from '../../../src/cluster/fencer/core/stages.ts'
import { ensureFencer } from '../../../src/cluster/fencer/ensure-fencer.ts'
import type { FencerClient } from '../../../src/cluster/fencer/fencer-client.ts'
import { killServer, readProcess, serverProcesses } from '../../../src/cluster/fencer/server-processes.ts'
import type { Installation } from '../../../src/postgres/installation.ts'
import { postgresCommand } from '../../../src/postgres/server.ts'
import { openSql } from '../../../src/postgres/sql.ts'
import type { MonotonicMs } from '../../../src/std/clock.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import type { TestServer } from '../../support/postgres.ts'
import { createTestServer } from '../../support/postgres.ts'

/** Shorter than in production, in the same order, so that a lease can end within a second. */
const testTiming: FencerTiming = {
  fastBeforeMs: 600,
  immediateBeforeMs: 300,
  killBeforeMs: 100,
  suspendLimitMs: 1000,
}

/** By how much a machine with everything else to do may be late; what is measured on a quiet one is some milliseconds. */
export const busyMachineMs = 400

/** A scratch PostgreSQL whose parent is a fencer of its own. Nothing of either is left when disposed. */
export interface FencedServer extends AsyncDisposable {
  readonly server: TestServer
  readonly stateDirectory: string
  readonly client: FencerClient
  readonly events: readonly FencerEvent[]
  readonly command: PostgresStart
  /** Another agent. */
  attach(): Promise<FencerClient>
  start(role?: PostgresStart['role']): Promise<number>
  /** Arms a lease that ends after `ms`, and gives back its deadline. */
  arm(ms: number, term?: number): Promise<MonotonicMs>
  lease(ms: number, term?: number): LeaseDeadline
  /** Processes of this server that exist now. */
  processes(): number[]
  event<Type extends FencerEvent['type']>(type: Type): Promise<Extract<FencerEvent, { type: Type }>>
}

export async function createFencedServer(installation?: Installation): Promise<FencedServer> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await createTestServer({ installation }))
  {
    await using sql = await server.sql()
    await sql.query('create table written (writer text, number bigint, at timestamptz default clock_timestamp())')
  }
  await server.stop()
  const stateDirectory = join(server.directory, 'state')
  const options = { stateDirectory, clock: systemClock, timing: testTiming }
  const client = await ensureFencer(options)
  stack.defer(async () => {
    await client.killOrphans()
    await client[Symbol.asyncDispose]()
  })
  const events: FencerEvent[] = []
  client.onEvent((event) => events.push(event))
  const {
    program,
    arguments: programArguments,
    environment,
  } = postgresCommand(server.installation, server.dataDirectory)
  const command: PostgresStart = {
    argv: [program, ...programArguments],
    env: environment,
    cwd: server.dataDirectory,
    logFile: server.logFile,
    role: 'standby',
  }
  const lease = (ms: number, term = 1): LeaseDeadline => {
    const now = systemClock.monotonic()
    return { term, deadline: (now + ms) as MonotonicMs, suspendedMs: systemClock.boottime() - now }
  }
  const owned = stack.move()
  return {
    server,
    stateDirectory,
    client,
    events,
    command,
    lease,
    attach: () => ensureFencer(options),
    start: async (role = 'standby') => {
      const { pid } = await client.start({ ...command, role })
      await waitUntil('a connection', () => openSql(server.target).then((sql) => sql.close().then(() => true)), {
        clock: systemClock,
        timeoutMs: 30_000,
      })
      return pid
    },
    arm: async (ms, term) => {
      const sent = lease(ms, term)
      assert.deepEqual(await client.arm(sent), { armed: true, deadline: sent.deadline })
      return sent.deadline
    },
    processes: () => (client.state.server === null ? [] : serverProcesses(client.state.server)),
    event: async (type) => {
      const found = await waitUntil(`the event ${type}`, async () => events.find((event) => event.type === type), {
        clock: systemClock,
        timeoutMs: 30_000,
        everyMs: 2,
      })
      return found as Extract<FencerEvent, { type: typeof type }>
    },
    [Symbol.asyncDispose]: async () => {
      const { server: identity } = client.state
      const { fencerPid } = client
      await owned.disposeAsync()
      // Told apart from a leak of the test itself: whatever it did, nothing may be left of fencer and server now.
      assert.equal(identity === null ? 0 : killServer(identity), 0)
      assert.equal(readProcess(fencerPid), undefined)
    },
  }
}

/** Writes as hard as it can, over one session kept open and over new ones, and notes when it was told "committed". */
export interface Writers {
  readonly acknowledged: number
  /** When the last commit was acknowledged. */
  readonly lastAt: MonotonicMs
  /** Ends the writing and resolves with the above. */
  stop(): Promise<Pick<Writers, 'acknowledged' | 'lastAt'>>
  /** Resolves when `count` more commits have been acknowledged. */
  more(count: number): Promise<void>
}

export function startWriters({ target }: TestServer): Writers {
  const stopping = new AbortController()
  let acknowledged = 0
  let lastAt = 0 as MonotonicMs
  const noteCommit = (): void => {
    acknowledged += 1
    lastAt = systemClock.monotonic()
  }
  const write = async (writer: string, statements: number): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await using sql = await openSql(target, { connectTimeoutMs: 500, statementTimeoutMs: 20_000 })
        for (let number = 0; number < statements && !stopping.signal.aborted; number += 1) {
          await sql.query('insert into written (writer, number) values ($1, $2)', [writer, number])
          noteCommit()
        }
      } catch {
        await systemClock.sleep(2)
      }
    }
  }
  const both = Promise.all([write('session', Number.POSITIVE_INFINITY), write('connections', 1)])
  return {
    get acknowledged() {
      return acknowledged
    },
    get lastAt() {
      return lastAt
    },
    more: async (count) => {
      const goal = acknowledged + count
      await waitUntil('more commits', async () => (acknowledged >= goal ? true : undefined), {
        clock: systemClock,
        timeoutMs: 30_000,
        everyMs: 2,
      })
    },
    stop: async () => {
      stopping.abort()
      await both
      return { acknowledged, lastAt }
    },
  }
}
