import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { clusterKeys, encodeEntry } from '../cluster/core/keys.ts'
import type { Coordinator } from '../coordinator/coordinator.ts'
import { openEmbeddedCoordinator } from '../coordinator/embedded/embedded-coordinator.ts'
import { systemClock } from '../std/clock.ts'
import { isFault } from '../std/fault.ts'
import { silentLog } from '../std/log.ts'
import { waitUntil } from '../std/wait-until.ts'
import type { RunEnd } from './core/decide-jobs.ts'
import type { JobLedger, JobOrder } from './core/ledger.ts'
import { scheduleFaults } from './faults.ts'
import type { Job } from './job.ts'
import { createSchedules } from './keep-schedules.ts'
import type { SchedulesOptions } from './keep-schedules.ts'
import { readLedger } from './ledger-store.ts'
import { runByCommand } from './run-by-command.ts'

const ok = { outcome: 'ok', exitCode: 0, sizeBytes: 1, error: null, retry: false, durationMs: 5 } as const
const every = { expression: '* * * * * *', timeZone: 'UTC', jitterMs: 0, makeUpWithinMs: 60_000 }

function job(name: string, change: Partial<Job> = {}): Job {
  return {
    name,
    schedule: null,
    runBy: 'agent',
    firstFor: null,
    followsBackup: false,
    arguments: () => [],
    sizeOf: () => null,
    ...change,
  }
}

describe('the jobs of whoever leads', () => {
  const stack = new AsyncDisposableStack()
  let directory = ''
  let coordinator: Coordinator
  let clusters = 0

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hf-jobs-'))
    stack.defer(() => rm(directory, { recursive: true, force: true }))
    coordinator = stack.use(await openEmbeddedCoordinator({ file: join(directory, 'c.db'), clock: systemClock }))
  })
  after(() => stack.disposeAsync())

  const lead = async (cluster: string, node: string, term: number): Promise<void> => {
    const value = encodeEntry({ node, term })
    await coordinator.transact({ conditions: [], changes: [{ put: clusterKeys(cluster).leader, value }] })
  }
  const entry = async (cluster: string, name: string): Promise<JobLedger | undefined> =>
    (await readLedger(coordinator, cluster)).ledger[name]
  const seen = <Value>(look: () => Promise<Value | undefined>): Promise<Value> =>
    waitUntil('what is wanted', look, { clock: systemClock, timeoutMs: 60_000 })

  interface Scene extends AsyncDisposable {
    readonly cluster: string
    readonly options: SchedulesOptions
    readonly began: readonly { readonly job: string; readonly order: JobOrder }[]
    readonly schedules: ReturnType<typeof createSchedules>
  }

  async function open(
    jobs: readonly Job[],
    work: (signal: AbortSignal) => Promise<RunEnd & { durationMs: number }>,
    cluster = `c${(clusters += 1)}`,
    node = 'n1',
  ): Promise<Scene> {
    await lead(cluster, node, 1)
    const began: { job: string; order: JobOrder }[] = []
    const options: SchedulesOptions = {
      coordinator,
      cluster,
      leader: { node, term: 1 },
      runner: `${node} life`,
      jobs,
      clock: systemClock,
      log: silentLog,
      run: async ({ name }, order, signal) => {
        began.push({ job: name, order })
        return await work(signal)
      },
    }
    const schedules = createSchedules(options)
    const stop = new AbortController()
    const kept = schedules.keep(stop.signal)
    const dispose = async (): Promise<void> => {
      stop.abort()
      await kept
    }
    return { cluster, options, began, schedules, [Symbol.asyncDispose]: dispose }
  }

  test('come when their moment has come, each moment once, and those that follow a backup after it', async () => {
    const jobs = [job('backup', { schedule: every }), job('expire', { followsBackup: true })]
    await using scene = await open(jobs, async () => ok)
    await seen(async () => (scene.began.filter((run) => run.job === 'backup').length >= 3 ? true : undefined))
    const moments = scene.began.flatMap((run) => (run.job === 'backup' ? [run.order.moment] : []))
    assert.equal(new Set(moments).size, moments.length)
    await seen(async () =>
      (await entry(scene.cluster, 'expire'))?.runs[0]?.cause === 'after-backup' ? true : undefined,
    )
  })

  test('are run once for each gap, and left to the next leader when the leadership ends', async () => {
    const held = job('backup', { firstFor: 'local' })
    const scene = await open(
      [held],
      (signal) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve({ ...ok, outcome: 'interrupted' }))),
    )
    await seen(async () => (scene.began.length === 1 ? true : undefined))
    scene.schedules.noteGaps(['1 0/1 0/2'])
    await seen(async () => ((await entry(scene.cluster, 'backup'))?.wanted?.cause === 'gap' ? true : undefined))
    await scene[Symbol.asyncDispose]()
    assert.equal((await entry(scene.cluster, 'backup'))?.running?.runner, 'n1 life')
    await using next = await open([held], async () => ok, scene.cluster, 'n2')
    const done = await seen(async () => {
      const found = await entry(scene.cluster, 'backup')
      return found?.running === null && found.wanted === null && found.retry === null ? found : undefined
    })
    assert.deepEqual(
      done.runs.map(({ outcome, attempt, cause, node }) => [outcome, attempt, cause, node]).toReversed(),
      [
        ['interrupted', 1, 'first', 'n1'],
        ['ok', 2, 'gap', 'n2'],
      ],
    )
    next.schedules.noteGaps(['1 0/1 0/2'])
    await systemClock.sleep(100)
    assert.equal(next.began.length, 1)
  })

  test('are neither begun nor recorded by a node that does not lead any more', async () => {
    await using scene = await open([job('backup', { schedule: every })], async () => ok)
    await seen(async () => ((await entry(scene.cluster, 'backup'))?.runs.length === 1 ? true : undefined))
    await lead(scene.cluster, 'n2', 2)
    await systemClock.sleep(50)
    const before = scene.began.length
    const { revision } = await readLedger(coordinator, scene.cluster)
    await systemClock.sleep(2500)
    assert.deepEqual([scene.began.length, (await readLedger(coordinator, scene.cluster)).revision], [before, revision])
  })

  test('do not run beside a command, which is refused beside them', async () => {
    let end: (() => void) | undefined
    const backup = job('backup', { firstFor: 'local' })
    await using scene = await open([backup], () => new Promise((resolve) => (end = () => resolve(ok))))
    await seen(async () => (end === undefined ? undefined : true))
    const command = { ...scene.options, runner: 'command', signal: new AbortController().signal }
    await assert.rejects(runByCommand(backup, command), (error) =>
      isFault(error, scheduleFaults['schedule-job-running']),
    )
    end?.()
    await seen(async () => ((await entry(scene.cluster, 'backup'))?.running === null ? true : undefined))
    let release: (() => void) | undefined
    const run: SchedulesOptions['run'] = () => new Promise((resolve) => (release = () => resolve(ok)))
    const commanded = runByCommand(backup, { ...command, run })
    await seen(async () => (release === undefined ? undefined : true))
    scene.schedules.noteGaps(['1 0/5 0/6'])
    await systemClock.sleep(100)
    assert.equal(scene.began.length, 1)
    release?.()
    assert.equal((await commanded).outcome, 'ok')
  })
})
