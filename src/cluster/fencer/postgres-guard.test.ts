import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { BoottimeMs, Clock, MonotonicMs } from '../../std/clock.ts'
import { systemClock } from '../../std/clock.ts'
import { isFault } from '../../std/fault.ts'
import type { FencerEvent, LeaseDeadline, PostgresStart } from './core/protocol.ts'
import { fencerFaults } from './faults.ts'
import { PostgresGuard } from './postgres-guard.ts'

/** A guard of a program that only sleeps, on a machine whose suspends are up to the test. */
async function openGuard() {
  const directory = await mkdtemp(join(tmpdir(), 'hf-guard-'))
  let suspendedMs = 0
  const clock: Clock = {
    ...systemClock,
    boottime: () => (systemClock.monotonic() + suspendedMs) as BoottimeMs,
  }
  const waiting = new Map<FencerEvent['type'], (event: FencerEvent) => void>()
  const events: FencerEvent[] = []
  const guard = new PostgresGuard({
    clock,
    timing: { fastBeforeMs: 100, immediateBeforeMs: 60, killBeforeMs: 20, suspendLimitMs: 1000 },
    wrapper: [],
    onEvent: (event) => {
      events.push(event)
      waiting.get(event.type)?.(event)
    },
  })
  const command: PostgresStart = {
    argv: ['/bin/sleep', '600'],
    env: {},
    cwd: directory,
    logFile: join(directory, 'log'),
    role: 'primary',
  }
  return {
    guard,
    command,
    types: () => events.map(({ type }) => type),
    suspend: (ms: number) => void (suspendedMs += ms),
    lease: (ms: number, term = 1): LeaseDeadline => ({
      term,
      deadline: (clock.monotonic() + ms) as MonotonicMs,
      suspendedMs,
    }),
    seen: (type: FencerEvent['type']) => new Promise<FencerEvent>((resolve) => void waiting.set(type, resolve)),
    [Symbol.asyncDispose]: async () => {
      guard.disarm()
      guard.killNow()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

describe('guard of a server', () => {
  it('kills at once after a suspend, though the deadline is far away on the monotonic clock', async () => {
    await using opened = await openGuard()
    opened.guard.arm(opened.lease(60_000))
    await opened.guard.start(opened.command)
    const fenced = opened.seen('fenced')
    opened.suspend(1500)
    await fenced
    const { fencing, postgres, armed } = opened.guard.state
    assert.deepEqual([fencing?.stage, fencing?.cause, armed], ['kill', 'suspend', null])
    assert.equal(postgres.status === 'exited' && postgres.signal, 'SIGKILL')
  })

  it('forgives a suspend before the renewal that was sent after it', async () => {
    await using opened = await openGuard()
    opened.suspend(5000)
    assert.equal(opened.guard.arm(opened.lease(60_000)).armed, true)
    await opened.guard.start(opened.command)
    opened.guard.tick()
    assert.deepEqual(opened.types(), ['started'])
  })

  it('lets a lease lapse that nothing runs under, and starts no primary on it', async () => {
    await using opened = await openGuard()
    const lapsed = opened.seen('lapsed')
    opened.guard.arm(opened.lease(150))
    await lapsed
    assert.equal(opened.guard.state.armed, null)
    await assert.rejects(opened.guard.start(opened.command), (error) => isFault(error, fencerFaults['fencer-no-lease']))
    assert.equal(opened.guard.active, false)
  })

  it('keeps the lease over a crash, so that the server may start again under it', async () => {
    await using opened = await openGuard()
    opened.guard.arm(opened.lease(60_000))
    const { pid } = await opened.guard.start(opened.command)
    const exited = opened.seen('exited')
    process.kill(pid, 'SIGKILL')
    const exit = await exited
    assert.equal(exit.type === 'exited' && exit.fenced, false)
    await opened.guard.start(opened.command)
    assert.equal(opened.guard.active, true)
  })

  it('never takes a lease of a term before the highest it has seen, also when that one is over', async () => {
    await using opened = await openGuard()
    opened.guard.arm(opened.lease(60_000, 5))
    opened.guard.disarm()
    assert.deepEqual(opened.guard.arm(opened.lease(60_000, 4)), { armed: false, because: 'older-term' })
    assert.equal(opened.guard.arm(opened.lease(60_000, 5)).armed, true)
  })
})
