import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { killAll, processesBelow } from '../../../src/cli/demo/node-processes.ts'
import { recordGap } from '../../../src/repository/gaps.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { parseLsn } from '../../../src/wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { prepareCliCluster } from '../../support/cli-cluster.ts'
import type { CliCluster, CliNode } from '../../support/cli-cluster.ts'
import { createTestDirectory } from '../../support/postgres.ts'

const root = join(import.meta.dirname, '..', '..', '..')

interface Run {
  readonly cause: string
  readonly moment: string | null
  readonly attempt: number
  readonly startedAt: string
  readonly node: string
  readonly outcome: string
  readonly error: string | null
  readonly sizeBytes: number | null
}

interface Jobs {
  readonly problems: readonly string[]
  readonly jobs: readonly {
    readonly name: string
    readonly next: string | null
    readonly running: { readonly node: string } | null
    readonly last: Run | null
    readonly missed: readonly { readonly from: string; readonly count: number; readonly because: string }[]
  }[]
}

interface Backups {
  readonly backups: readonly { readonly id: string; readonly kind: string }[]
}

const isExpired = ({ jobs }: Partial<Jobs>): boolean =>
  jobs?.some(({ name, last }) => name === 'expire' && last !== null) === true

const backup = ({ jobs }: Jobs): Jobs['jobs'][number] => {
  const [found] = jobs
  assert.ok(found)
  return found
}

/** A moment so many seconds from now, and the cron expression that comes then and not again for a day. */
function comingMoment(seconds: number): { readonly moment: string; readonly expression: string; readonly at: number } {
  const date = new Date(Math.ceil(Date.now() / 1000) * 1000 + seconds * 1000)
  const fields = [date.getUTCSeconds(), date.getUTCMinutes(), date.getUTCHours(), '*', '*', '*']
  const moment = date.toISOString().replace('.000Z', 'Z')
  return { moment, expression: fields.join(' '), at: date.getTime() }
}

describe('the jobs of a cluster', { concurrency: false }, () => {
  const stack = new AsyncDisposableStack()
  let directory = ''
  let cluster: CliCluster
  let n1: CliNode
  let n2: CliNode
  const schedule = async (schedules: object): Promise<void> => {
    for (const { configFile } of cluster.nodes) {
      const config = parse(await readFile(configFile, 'utf8')) as object
      await writeFile(configFile, stringify({ ...config, schedules }))
    }
  }
  const list = (node: CliNode): Promise<Jobs> =>
    cluster.holdfast(node, 'schedule', '--json').then(({ stdout }) => JSON.parse(stdout) as Jobs)

  /** Starts nodes with schedules whose moment is still to come when they run (and `then` is done), however slow that is. */
  const startBefore = async (
    schedules: (expression: string) => object,
    nodes: readonly CliNode[],
    then?: () => Promise<unknown>,
  ): Promise<ReturnType<typeof comingMoment>> => {
    for (const seconds of [15, 45, 135]) {
      for (const node of cluster.nodes.toReversed()) await cluster.stop(node)
      const coming = comingMoment(seconds)
      await schedule(schedules(coming.expression))
      const [leader, ...others] = nodes as [CliNode, ...CliNode[]]
      cluster.start(leader)
      await cluster.waitFor<Jobs & { leader: string | null }>(
        leader,
        'status',
        (status) => status.leader === leader.name,
      )
      for (const node of others) cluster.start(node)
      const all = nodes.length
      await cluster.waitFor<{ nodes: readonly { state: string }[] }>(leader, 'status', (status) => {
        return status.nodes.filter(({ state }) => state === 'running' || state === 'streaming').length === all
      })
      await then?.()
      if (Date.now() < coming.at) return coming
    }
    throw new Error('the machine is too slow for this test')
  }

  /** As an archiver does that found WAL missing just now. */
  const recordLostWal = async (): Promise<void> => {
    const { timeline, lsn } = await cluster.withPrimary(async (sql) => {
      const [row] = await sql.query<{ timeline: number; lsn: string }>(
        'SELECT timeline_id AS timeline, pg_current_wal_lsn()::text AS lsn FROM pg_control_checkpoint()',
      )
      assert.ok(row)
      return row
    })
    await using store = await openFileSystemStore({ root: cluster.repositoryPath, clock: systemClock })
    const repository = await openRepository(store, { passphrase: new Secret('passphrase secret') })
    const startLsn = parseLsn(lsn)
    assert.ok(startLsn !== undefined && timeline > 1)
    await recordGap(repository, 'test', {
      timeline: timeline as TimelineId,
      fromTimeline: (timeline - 1) as TimelineId,
      startLsn,
      endLsn: (startLsn + 1n) as Lsn,
      foundAt: systemClock.wall(),
      because: 'the test says so',
    })
  }

  before(async () => {
    directory = stack.use(await createTestDirectory()).path
    cluster = stack.use(await prepareCliCluster(directory, ['n1', 'n2']))
    ;[n1, n2] = cluster.nodes as [CliNode, CliNode]
    await schedule({})
  })
  after(async () => {
    await killAll(() => processesBelow(directory))
    await stack.disposeAsync()
  })

  test('a new cluster is backed up at once, and expired after it', async () => {
    cluster.start(n1)
    const done = await cluster.waitFor<Jobs>(n1, 'status', isExpired)
    assert.deepEqual([backup(done).last?.outcome, backup(done).last?.cause], ['ok', 'first'], JSON.stringify(done))
    assert.ok((backup(done).last?.sizeBytes ?? 0) > 100_000)
    assert.deepEqual([done.jobs[1]?.last?.outcome, done.jobs[1]?.last?.cause], ['ok', 'after-backup'])
    assert.match(backup(done).next ?? '', /T02:00:00Z$/)
    assert.equal((await cluster.holdfast(n1, 'backups')).code, 0)
  })

  test('only one runs at a time; a command runs one on the leader, and nothing elsewhere', async () => {
    cluster.start(n2)
    await cluster.waitFor<{ problems: string[] }>(n1, 'status', ({ problems }) => problems.length === 0)
    const elsewhere = await cluster.holdfast(n2, 'schedule', 'run', 'backup')
    assert.deepEqual([elsewhere.code, elsewhere.stdout], [0, 'nothing to do: n1 leads, not n2\n'])
    const [one, other] = await Promise.all([
      cluster.holdfast(n1, 'schedule', 'run', 'backup'),
      cluster.holdfast(n1, 'schedule', 'run', 'backup'),
    ])
    assert.deepEqual(
      [Math.min(one.code ?? 0, other.code ?? 0), Math.max(one.code ?? 0, other.code ?? 0)],
      [0, 6],
      one.stderr + other.stderr,
    )
    const { stdout, stderr } = one.code === 0 ? one : other
    assert.match(stdout, /^backup: ok in .*\nexpire: ok in /, stderr)
    assert.match(
      one.stderr + other.stderr,
      /Cannot run the job backup: n1 has been running it since .*\(schedule-job-running\)/s,
    )
    assert.equal(backup(await list(n2)).last?.cause, 'command')
    assert.match(
      (await cluster.holdfast(n1, 'backup', '--if-none')).stdout,
      /^nothing to do: repository local has backup /,
    )
    const [repository] = JSON.parse((await cluster.holdfast(n1, 'backups', '--json')).stdout) as readonly Backups[]
    assert.deepEqual(
      repository?.backups.map(({ kind }) => kind),
      ['full', 'incremental'],
    )
  })

  test('backups of two nodes at once are both good, and only a full one that is too old is taken again', async () => {
    const [one, other] = await Promise.all([
      cluster.holdfast(n1, 'backup', '--full-after', '1h', '--json'),
      cluster.holdfast(n2, 'backup', '--full-after', '1ms', '--json'),
    ])
    const kinds = [one, other].map(({ code, stdout }) => {
      assert.equal(code, 0, stdout)
      return (JSON.parse(stdout) as { backup: { kind: string } }).backup.kind
    })
    assert.deepEqual(kinds, ['incremental', 'full'])
    const verified = await cluster.holdfast(n1, 'backups', '--verify', '--json')
    assert.equal(verified.code, 0, verified.stdout)
    assert.equal((JSON.parse(verified.stdout) as readonly Backups[])[0]?.backups.length, 4)
  })

  test('every command of the guide does what it says', async () => {
    const guide = await readFile(join(root, 'docs/guide/schedules.md'), 'utf8')
    const lines = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap((match) => (match[1] ?? '').trim().split('\n'))
    assert.equal(lines.length, 4)
    const outputs: string[] = []
    for (const line of lines) {
      const [name, ...words] = line.replace(' --config n1.yaml', '').split(' ')
      assert.equal(name, 'holdfast')
      const { code, stdout, stderr } = await cluster.holdfast(n1, ...words)
      assert.equal(code, 0, `${line}: ${stdout}${stderr}`)
      outputs.push(stdout)
    }
    const [list = '', run = '', cron = '', units = ''] = outputs
    assert.match(list, /^job +when +next .*\nbackup +0 2 \* \* \* UTC +\S+T02:00:00Z \(in .*\) +ok, .* ago/)
    assert.match(run, /^backup: ok in .*\nexpire: ok in /)
    assert.match(
      cron,
      /^CRON_TZ=UTC\n0 2 \* \* \* postgres \S+ \S+ schedule run backup --config \S+n1.yaml > \/dev\/null$/m,
    )
    const files = ['backup', 'verify', 'keyTest'].flatMap((job) =>
      ['service', 'timer'].map((kind) => `holdfast-test-${job}.${kind}\n`),
    )
    assert.equal(units, files.join(''))
    for (const job of ['verify', 'keyTest']) {
      const { code, stdout, stderr } = await cluster.holdfast(n1, 'schedule', 'run', job)
      assert.deepEqual([code, stdout.replace(/ in .*/, '')], [0, `${job}: ok\n`], stderr)
    }
  })

  test('a backup that is cut short with its leader is made up by the next leader', async () => {
    await cluster.withPrimary((sql) =>
      sql.query(`CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) AS filler FROM generate_series(1, 60000) AS n`),
    )
    const first = await startBefore((expression) => ({ backup: { at: expression } }), [n1, n2])
    await delay(first.at - Date.now())
    await cluster.waitFor<Jobs>(n2, 'schedule', (jobs) => backup(jobs).running !== null)
    await killAll(async () => [
      ...(await processesBelow(n1.configFile)),
      ...(await processesBelow(join(directory, 'n1'))),
    ])
    const done = await cluster.waitFor<Jobs>(n2, 'schedule', (jobs) => backup(jobs).last?.attempt === 2)
    const { last, missed } = backup(done)
    assert.deepEqual(
      [last?.outcome, last?.moment, last?.node, missed],
      ['ok', first.moment, 'n2', []],
      JSON.stringify(done),
    )
    await cluster.stop(n1)
    await cluster.stop(n2)
    assert.equal((await cluster.holdfast(n2, 'backups', '--verify')).code, 0)
  })

  test('what came while no agent ran is made up or reported missed, once', async () => {
    const coming = await startBefore(
      (expression) => ({ backup: { at: expression }, dump: { at: expression, makeUpWithin: '0s' } }),
      [n2],
      () => cluster.stop(n2),
    )
    await delay(coming.at + 1000 - Date.now())
    cluster.start(n2)
    const done = await cluster.waitFor<Jobs>(n2, 'schedule', (jobs) => backup(jobs).last?.moment === coming.moment)
    assert.deepEqual([backup(done).last?.outcome, backup(done).last?.attempt], ['ok', 1])
    const dump = done.jobs.find(({ name }) => name === 'dump')
    assert.deepEqual(
      dump?.missed.map(({ from, count, because }) => [from, count, because]),
      [[coming.moment, 1, 'too-late']],
    )
    assert.equal(dump?.last, null)
    await recordLostWal()
    await cluster.stop(n2)
    cluster.start(n2)
    const again = await cluster.waitFor<Jobs & { leader: string | null }>(n2, 'status', ({ leader }) => leader === 'n2')
    assert.match((await cluster.holdfast(n2, 'check')).stdout, /! jobs: 1 run of dump missed, the last due .*: nobody/)
    assert.match(again.problems.join('\n'), /^1 run of dump missed, the last due .*: nobody could run it in time$/m)
    const mended = await cluster.waitFor<Jobs>(n2, 'schedule', (jobs) => backup(jobs).last?.cause === 'gap')
    assert.deepEqual([backup(mended).last?.outcome, backup(mended).last?.attempt], ['ok', 1])
  })
})
