import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fencerFaults } from '../../../src/cluster/fencer/faults.ts'
import { attachFencer } from '../../../src/cluster/fencer/ensure-fencer.ts'
import { readProcess } from '../../../src/cluster/fencer/server-processes.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { testMajors } from '../../support/postgres.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import type { FencedServer } from './fenced-server.ts'
import { busyMachineMs, createFencedServer, startWriters } from './fenced-server.ts'

const stopFast = { mode: 'fast', thenKillAfterMs: 30_000 } as const
const isKind = (code: keyof typeof fencerFaults) => (error: unknown) => isFault(error, fencerFaults[code])

describe('fencer: commands', () => {
  it('starts PostgreSQL, keeps it through renewals far beyond the first deadline, and stops it', async () => {
    await using fenced = await createFencedServer()
    const first = await fenced.arm(4000)
    const pid = await fenced.start('primary')
    const writers = startWriters(fenced.server)
    let deadline = first
    while (systemClock.monotonic() < first + 500) {
      deadline = await fenced.arm(6000)
      await systemClock.sleep(100)
    }
    await writers.more(1)
    assert.equal(fenced.client.postmasterPid, pid)
    assert.deepEqual(fenced.client.state.armed, { term: 1, deadline })
    const exit = await fenced.client.stop(stopFast)
    await writers.stop()
    assert.deepEqual([exit?.code, exit?.signal, exit?.fenced], [0, null, false])
    assert.deepEqual(fenced.processes(), [])
    assert.deepEqual(
      fenced.events.map(({ type }) => type),
      ['started', 'exited'],
    )
    assert.equal(await fenced.client.stop(stopFast), null)
  })

  it('refuses a primary without a lease, a second server, an older term and a deadline that is too near', async () => {
    await using fenced = await createFencedServer()
    await assert.rejects(fenced.client.start({ ...fenced.command, role: 'primary' }), isKind('fencer-no-lease'))
    await fenced.arm(5000, 7)
    await fenced.start('primary')
    await assert.rejects(fenced.client.start(fenced.command), isKind('fencer-postgres-running'))
    assert.deepEqual(await fenced.client.arm(fenced.lease(5000, 6)), { armed: false, because: 'older-term' })
    assert.deepEqual(await fenced.client.arm(fenced.lease(500, 8)), { armed: false, because: 'too-late' })
    const slept = { ...fenced.lease(5000, 8), suspendedMs: fenced.lease(0).suspendedMs - 1500 }
    assert.deepEqual(await fenced.client.arm(slept), { armed: false, because: 'suspended' })
    assert.equal(fenced.client.state.armed?.term, 7)
  })

  it('leaves a disarmed server alone', async () => {
    await using fenced = await createFencedServer()
    await fenced.arm(60_000)
    await fenced.start()
    const deadline = await fenced.arm(800, 2)
    assert.equal(await fenced.client.disarm(), true)
    await waitUntil('the old deadline', async () => (systemClock.monotonic() > deadline ? true : undefined), {
      clock: systemClock,
      timeoutMs: 5000,
    })
    const state = await fenced.client.status()
    assert.deepEqual([state.postgres.status, state.armed, state.fencing], ['running', null, null])
  })

  it('says why it cannot start the program', async () => {
    await using fenced = await createFencedServer()
    const missing = { ...fenced.command, argv: ['/nonexistent/postgres'] }
    await assert.rejects(fenced.client.start(missing), isKind('fencer-postgres-not-started'))
    const noLog = { ...fenced.command, logFile: '/nonexistent/postgres.log' }
    await assert.rejects(fenced.client.start(noLog), isKind('fencer-postgres-not-started'))
    await fenced.start()
  })

  it('kills what does not stop in the time it was given', async () => {
    await using fenced = await createFencedServer()
    await fenced.start()
    await using sql = await fenced.server.sql()
    process.kill(sql.backendPid, 'SIGSTOP')
    const exit = await fenced.client.stop({ mode: 'smart', thenKillAfterMs: 200 })
    assert.deepEqual([exit?.signal, exit?.fenced], ['SIGKILL', false])
    assert.deepEqual(fenced.processes(), [])
  })

  it('is one per state directory, whoever asks for it at the same time, and outlives who started it', async () => {
    await using fenced = await createFencedServer()
    const pid = await fenced.start()
    const clients = await Promise.all([fenced.attach(), fenced.attach(), fenced.attach()])
    for (const client of clients) {
      assert.equal(client.fencerPid, fenced.client.fencerPid)
      assert.equal(client.postmasterPid, pid)
      await client[Symbol.asyncDispose]()
    }
    await using again = await fenced.attach()
    const exited = Promise.withResolvers<void>()
    again.onEvent((event) => event.type === 'exited' && exited.resolve())
    await fenced.client.stop(stopFast)
    await exited.promise
    assert.equal((await stat(join(fenced.stateDirectory, 'fencer.sock'))).mode & 0o777, 0o600)
  })

  it('ends with PostgreSQL and its socket when it is shut down or asked to by the system', async () => {
    for (const how of ['command', 'signal'] as const) {
      await using fenced = await createFencedServer()
      await fenced.start()
      if (how === 'command') await fenced.client.shutdown(stopFast)
      else {
        process.kill(fenced.client.fencerPid, 'SIGTERM')
        await fenced.client.lost
      }
      assert.deepEqual(fenced.processes(), [])
      await assert.rejects(stat(join(fenced.stateDirectory, 'fencer.sock')))
      assert.equal(await attachFencer({ stateDirectory: fenced.stateDirectory, clock: systemClock }), undefined)
    }
  })
})

describe('fencer: L1, no primary beyond the end of its lease', () => {
  it('stops a primary in order before the deadline when nobody renews', async () => {
    await using fenced = await createFencedServer()
    await endsInTime(fenced, async () => void (await fenced.arm(1500, 2)))
    assert.deepEqual(stages(fenced), ['fast'])
    const exit = await fenced.event('exited')
    assert.deepEqual([exit.code, exit.signal], [0, null])
  })

  it('goes on when the agent is killed', async () => {
    await using fenced = await createFencedServer()
    await endsInTime(fenced, async () => void process.kill(await renewingAgent(fenced), 'SIGKILL'))
  })

  it('goes on when the agent is frozen', async () => {
    await using fenced = await createFencedServer()
    let agent: number | undefined
    await endsInTime(fenced, async () => {
      agent = await renewingAgent(fenced)
      process.kill(agent, 'SIGSTOP')
    })
    if (agent !== undefined) process.kill(agent, 'SIGKILL')
  })

  it('kills a server whose postmaster is frozen', async () => {
    await using fenced = await createFencedServer()
    await endsInTime(fenced, async (postmaster) => {
      process.kill(postmaster, 'SIGSTOP')
      await fenced.arm(1500, 2)
    })
    assert.deepEqual(stages(fenced), ['fast', 'immediate', 'kill'])
  })

  it('kills a server with a frozen backend', async () => {
    await using fenced = await createFencedServer()
    await endsInTime(fenced, async () => {
      const sql = await fenced.server.sql()
      process.kill(sql.backendPid, 'SIGSTOP')
      await fenced.arm(1500, 2)
    })
    assert.deepEqual(stages(fenced), ['fast', 'immediate', 'kill'])
  })

  it('cannot be talked out of it once the fast stop was sent, and starts again under a new lease', async () => {
    await using fenced = await createFencedServer()
    await endsInTime(fenced, async (postmaster) => {
      process.kill(postmaster, 'SIGSTOP')
      await fenced.arm(1500, 2)
      await fenced.event('fencing')
      assert.deepEqual(await fenced.client.arm(fenced.lease(60_000, 2)), { armed: false, because: 'fencing' })
      assert.equal(await fenced.client.disarm(), false)
    })
    assert.equal((await fenced.client.status()).armed, null)
    await fenced.arm(60_000, 3)
    await fenced.start('primary')
    assert.equal(fenced.client.state.fencing, null)
  })

  it('kills at once when it was itself frozen beyond the deadline, before it hears of any renewal', async () => {
    await using fenced = await createFencedServer()
    await fenced.arm(60_000)
    await fenced.start('primary')
    const deadline = await fenced.arm(1000, 2)
    process.kill(fenced.client.fencerPid, 'SIGSTOP')
    await waitUntil('the deadline', async () => (systemClock.monotonic() > deadline + 50 ? true : undefined), {
      clock: systemClock,
      timeoutMs: 5000,
    })
    const answer = fenced.client.arm(fenced.lease(60_000, 2))
    const resumedAt = systemClock.monotonic()
    process.kill(fenced.client.fencerPid, 'SIGCONT')
    assert.deepEqual(await answer, { armed: false, because: 'fencing' })
    const { clearedAt } = await fenced.event('exited')
    assert.ok(clearedAt < resumedAt + busyMachineMs, `${clearedAt - resumedAt} ms after it was resumed`)
    assert.deepEqual(stages(fenced), ['kill'])
    assert.deepEqual(fenced.processes(), [])
  })

  it('leaves no backend behind a postmaster that was killed, though it never waits for its client', async () => {
    await using fenced = await createFencedServer()
    const postmaster = await fenced.start()
    await startEndlessCommits(fenced)
    process.kill(postmaster, 'SIGKILL')
    const exit = await fenced.event('exited')
    assert.deepEqual([exit.signal, exit.fenced], ['SIGKILL', false])
    assert.deepEqual(fenced.processes(), [])
  })

  it('takes PostgreSQL with it when it is killed', async (context) => {
    await using fenced = await createFencedServer()
    await fenced.arm(60_000)
    await fenced.start('primary')
    if (!fenced.client.state.diesWithFencer) return context.skip('no setpriv --pdeathsig here')
    await startEndlessCommits(fenced)
    const writers = startWriters(fenced.server)
    await writers.more(20)
    const killedAt = systemClock.monotonic()
    process.kill(fenced.client.fencerPid, 'SIGKILL')
    await fenced.client.lost
    await nothingLeft(fenced)
    const { lastAt } = await writers.stop()
    context.diagnostic(`last commit acknowledged ${(lastAt - killedAt).toFixed(1)} ms after the fencer was killed`)
    assert.ok(lastAt < killedAt + busyMachineMs)
  })

  it('is replaced when it was killed, after its agent has ended what a frozen postmaster left', async () => {
    await using fenced = await createFencedServer()
    const postmaster = await fenced.start()
    await startEndlessCommits(fenced)
    process.kill(postmaster, 'SIGSTOP')
    process.kill(fenced.client.fencerPid, 'SIGKILL')
    await fenced.client.lost
    assert.notEqual(fenced.processes().length, 0)
    await assert.rejects(fenced.client.status(), isKind('fencer-unreachable'))
    await fenced.client.killOrphans()
    assert.deepEqual(fenced.processes(), [])
    await using next = await fenced.attach()
    assert.notEqual(next.fencerPid, fenced.client.fencerPid)
    await next.start(fenced.command)
    await next.shutdown(stopFast)
  })

  it('is killed with its server by an agent whom it does not answer any more', async () => {
    await using fenced = await createFencedServer()
    await fenced.start()
    process.kill(fenced.client.fencerPid, 'SIGSTOP')
    await assert.rejects(fenced.client.status(), isKind('fencer-unreachable'))
    await fenced.client.lost
    await fenced.client.killOrphans()
    assert.deepEqual(fenced.processes(), [])
    assert.equal(readProcess(fenced.client.fencerPid), undefined)
  })

  it('is killed with its server by the next agent, whom it does not greet, and replaced', async () => {
    await using fenced = await createFencedServer()
    await fenced.start()
    process.kill(fenced.client.fencerPid, 'SIGSTOP')
    await using next = await fenced.attach()
    assert.notEqual(next.fencerPid, fenced.client.fencerPid)
    assert.deepEqual(fenced.processes(), [])
    assert.equal(readProcess(fenced.client.fencerPid), undefined)
    await next.shutdown(stopFast)
  })
})

describe('fencer: every major release', async () => {
  for (const installation of await testMajors()) {
    it(`PostgreSQL ${installation.version} (${installation.source}) ends with its lease and with its fencer`, async () => {
      await using fenced = await createFencedServer(installation)
      await endsInTime(fenced, async () => {
        await startEndlessCommits(fenced)
        await fenced.arm(1500, 2)
      })
      await fenced.start()
      await startEndlessCommits(fenced)
      process.kill(fenced.client.fencerPid, 'SIGKILL')
      await fenced.client.lost
      if (fenced.client.state.diesWithFencer) await nothingLeft(fenced)
      else await fenced.client.killOrphans()
      assert.deepEqual(fenced.processes(), [])
    })
  }
})

/** Starts a primary under a long lease, lets `breakIt` shorten it and break something, and proves that nothing writes after its deadline. */
async function endsInTime(fenced: FencedServer, breakIt: (postmaster: number) => Promise<void>): Promise<void> {
  await fenced.arm(60_000, 1)
  const postmaster = await fenced.start('primary')
  const writers = startWriters(fenced.server)
  await writers.more(20)
  await breakIt(postmaster)
  await fenced.event('fenced')
  const exit = await fenced.event('exited')
  const { deadline } = await fenced.event('fencing')
  assert.deepEqual(fenced.processes(), [])
  const { lastAt } = await writers.stop()
  assert.equal(exit.fenced, true)
  assert.ok(exit.clearedAt <= deadline + busyMachineMs, `gone ${exit.clearedAt - deadline} ms after the deadline`)
  assert.ok(lastAt <= deadline + busyMachineMs, `last commit ${lastAt - deadline} ms after the deadline`)
  assert.ok(lastAt <= exit.clearedAt + busyMachineMs)
}

async function nothingLeft(fenced: FencedServer): Promise<void> {
  await waitUntil('the end of the server', async () => (fenced.processes().length === 0 ? true : undefined), {
    clock: systemClock,
    timeoutMs: 10_000,
    everyMs: 2,
  })
}

function stages(fenced: FencedServer): string[] {
  return fenced.events.flatMap((event) => (event.type === 'fencing' ? [event.stage] : []))
}

/** An agent in a process of its own that renews the lease; resolves with its process id once it has. */
async function renewingAgent(fenced: FencedServer): Promise<number> {
  const program = fileURLToPath(new URL('renewing-agent.ts', import.meta.url))
  const child = spawn(process.execPath, [program, fenced.stateDirectory], { stdio: ['ignore', 'pipe', 'inherit'] })
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => assert.fail('the agent ended'))])
  child.stdout.destroy()
  child.unref()
  return child.pid ?? assert.fail()
}

/** A session that commits in a loop inside the server: it never looks at its client, so never at its postmaster. */
async function startEndlessCommits(fenced: FencedServer): Promise<void> {
  const sql = await fenced.server.sql()
  const loop = `do $$ begin loop insert into written (writer) values ('loop'); commit; end loop; end $$`
  sql.query(loop).then(
    () => assert.fail('the loop ended'),
    () => sql.close(),
  )
  await using witness = await fenced.server.sql()
  await waitUntil(
    'a commit of the loop',
    async () => (await witness.query(`select from written where writer = 'loop' limit 1`))[0],
    { clock: systemClock, timeoutMs: 10_000 },
  )
}
