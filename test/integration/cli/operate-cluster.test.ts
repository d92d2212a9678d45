import assert from 'node:assert/strict'
import { copyFile, readFile, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { prepareCliCluster, runHoldfast } from '../../support/cli-cluster.ts'
import type { CliCluster, CliNode } from '../../support/cli-cluster.ts'
import { createTestDirectory } from '../../support/postgres.ts'

/** One cluster, operated from its founding to its end by the shipped commands, as an operator would. */
interface Status {
  readonly verdict: string
  readonly leader: string | null
  readonly problems: readonly string[]
  readonly next: { readonly node: string | null }
  readonly nodes: readonly { readonly name: string; readonly role: string; readonly sync: string | null }[]
}

interface Backups {
  readonly backups: readonly { readonly id: string; readonly label: string | null }[]
}

interface Expiry {
  readonly backups: readonly { readonly keep: boolean; readonly wal: string }[]
}

describe('a cluster operated by the command line', { concurrency: false }, () => {
  const stack = new AsyncDisposableStack()
  let directory = ''
  let cluster: CliCluster
  let n1: CliNode
  let n2: CliNode
  let beforeDelete = ''

  before(async () => {
    directory = stack.use(await createTestDirectory()).path
    cluster = stack.use(await prepareCliCluster(directory, ['n1', 'n2']))
    ;[n1, n2] = cluster.nodes as [CliNode, CliNode]
  })
  after(() => stack.disposeAsync())

  test('before the first start: check only warns, status says that nothing has ever run', async () => {
    const check = await cluster.holdfast(n1, 'check')
    assert.equal(check.code, 3, check.stdout)
    assert.match(check.stdout, /! coordinator: .* does not exist/)
    assert.match(check.stdout, /! repository local: nothing is in it yet/)
    const status = await cluster.holdfast(n1, 'status')
    assert.equal(status.code, 4)
    assert.match(status.stderr, /cli-coordinator-absent/)
    assert.deepEqual(await readdir(directory), ['n1', 'n1.yaml', 'n2', 'n2.yaml', 'repository', 'secrets'])
  })

  test('agents found the cluster; status calls it healthy but for the missing backup', async () => {
    cluster.start(n1)
    await cluster.waitFor<Status>(n1, 'status', ({ leader }) => leader === 'n1')
    cluster.start(n2)
    const wanted = ['repository local holds no backup yet']
    const status = await cluster.waitFor<Status>(n2, 'status', ({ problems }) => problems.join() === wanted.join())
    assert.deepEqual(
      status.nodes.map(({ name, role, sync }) => [name, role, sync]),
      [
        ['n1', 'leader', null],
        ['n2', 'standby', 'quorum'],
      ],
    )
    assert.equal(status.next.node, 'n2')
  })

  test('health endpoints send clients to the primary', async () => {
    const code = async (node: CliNode, path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${node.apiPort}${path}`)).status
    assert.deepEqual([await code(n1, '/primary'), await code(n2, '/primary')], [200, 503])
    assert.deepEqual([await code(n1, '/replica'), await code(n2, '/replica')], [503, 200])
  })

  test('a second agent for a node is refused', async () => {
    const { code, stderr } = await cluster.holdfast(n2, 'agent')
    assert.equal(code, 6)
    assert.match(stderr, /http-port-in-use/)
  })

  test('a backup is taken from the standby, whoever is asked, or from where one wants; listed and verified', async () => {
    await cluster.withPrimary((sql) => sql.query('CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n'))
    const taken = await cluster.holdfast(n1, 'backup', '--label', 'first')
    assert.equal(taken.code, 0, taken.stderr)
    assert.match(taken.stdout, /^backup \S+ is complete in repository local/)
    assert.match(taken.stdout, /^ {2}from n2, a standby$/m)
    const listed = await cluster.holdfast(n2, 'backups', '--verify', '--json')
    assert.equal(listed.code, 0, listed.stdout)
    const [local] = JSON.parse(listed.stdout) as Backups[]
    assert.deepEqual(
      local?.backups.map(({ label }) => label),
      ['first'],
    )
    const next = await cluster.holdfast(n2, 'backup', '--from', 'primary')
    assert.match(next.stdout, /^ {2}incremental: .+ changed since [0-9TZ]+-[0-9a-f]{8}$/m, next.stderr)
    assert.match(next.stdout, /^ {2}from n1, a primary$/m)
    const full = await cluster.holdfast(n1, 'backup', '--from', 'here', '--full', '--json')
    const { backup } = JSON.parse(full.stdout) as { backup: { kind: string; node: string } }
    assert.deepEqual([backup.kind, backup.node], ['full', 'n1'])
    const nobody = await cluster.holdfast(n1, 'backup', '--from', 'n9')
    assert.equal(nobody.code, 7)
    assert.match(nobody.stderr, /no node n9/)
    await cluster.waitFor<Status>(n1, 'status', ({ verdict }) => verdict === 'healthy')
  })

  test('a backup is held and released, and expire says why everything stays', async () => {
    const [local] = JSON.parse((await cluster.holdfast(n1, 'backups', '--json')).stdout) as readonly Backups[]
    const id = local?.backups[0]?.id ?? ''
    assert.equal((await cluster.holdfast(n1, 'hold', id, '--reason', 'audit')).code, 0)
    const dry = await cluster.holdfast(n2, 'expire', '--dry-run')
    assert.equal(dry.code, 0, dry.stderr)
    const count = local?.backups.length ?? 0
    assert.match(dry.stdout, new RegExp(`^repository local: 0 of ${count} backups would go\\n`))
    assert.match(dry.stdout, new RegExp(`${id} .* stays .*; held: audit`))
    assert.match(dry.stdout, /stays {2}the newest backup that can be restored/)
    assert.match((await cluster.holdfast(n1, 'hold', id, '--release')).stdout, /is released/)
    assert.equal((await cluster.holdfast(n1, 'hold', '20200101T000000Z-00000000')).code, 4)
    const [expired] = JSON.parse((await cluster.holdfast(n1, 'expire', '--json')).stdout) as readonly Expiry[]
    assert.equal(expired?.backups.length, count)
    assert.ok(expired.backups.every(({ keep, wal }) => keep && wal === 'onwards'))
    assert.equal((await cluster.holdfast(n1, 'backups', '--verify')).code, 0)
  })

  test('switchover hands over and back, and refuses what cannot be done', async () => {
    assert.equal((await cluster.holdfast(n1, 'switchover', '--to', 'n1')).code, 5)
    assert.equal((await cluster.holdfast(n1, 'switchover', '--to', 'n9')).code, 5)
    const { code, stdout, stderr } = await cluster.holdfast(n2, 'switchover', '--to', 'n2', '--json')
    assert.equal(code, 0, stdout + stderr)
    const done = JSON.parse(stdout) as { to: string; stage: string }
    assert.deepEqual([done.to, done.stage], ['n2', 'redundant'])
    await cluster.waitFor<Status>(n1, 'status', ({ leader, verdict }) => leader === 'n2' && verdict === 'healthy')
  })

  test('restore goes to just before rows were deleted, over the change of timeline', async () => {
    beforeDelete = await cluster.withPrimary(async (sql) => {
      const [row] = await sql.query<{ at: string }>('SELECT clock_timestamp()::text AS at')
      await sql.query('DELETE FROM kept')
      return row?.at ?? ''
    })
    const target = join(directory, 'restored')
    const restore = (...more: readonly string[]) =>
      cluster.holdfast(n1, 'restore', '--target-time', beforeDelete, ...more)
    const archived = (
      await cluster.withPrimary((sql) => sql.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn'))
    )[0]?.lsn
    await cluster.waitFor<{ window: { toLsn: string } }[]>(
      n1,
      'backups',
      ([local]) => lsnOf(local?.window.toLsn) >= lsnOf(archived),
    )
    const plan = await restore('--plan', '--json')
    assert.equal(plan.code, 0, plan.stderr)
    assert.deepEqual((JSON.parse(plan.stdout) as { path: number[] }).path.length, 2)
    const done = await restore('--to', target, '--set', 'shared_buffers=16MB', '--json')
    assert.equal(done.code, 0, done.stdout + done.stderr)
    assert.match((JSON.parse(done.stdout) as { recovered: { stoppedAt: string } }).recovered.stoppedAt, /before commit/)
    assert.equal((await restore('--to', target)).code, 5, 'a directory that is not empty')
  })

  test('restore refuses targets that are not there, and reads none it cannot understand', async () => {
    const restore = (...args: readonly string[]) => cluster.holdfast(n1, 'restore', '--plan', ...args)
    const cases: readonly (readonly [number, string, readonly string[]])[] = [
      [2, 'restore-target-too-early', ['--target-time', '2020-01-01 00:00:00Z']],
      [2, 'restore-target-too-late', ['--target-lsn', 'FF/0']],
      [2, 'restore-timeline-unknown', ['--timeline', '99']],
      [4, 'restore-no-backup', ['--backup', '20200101T000000Z-00000000']],
      [2, 'cli-usage', ['--target-time', '2020-01-01 00:00:00']],
      [2, 'cli-usage', ['--target-lsn', '0/0', '--latest']],
      [2, 'cli-usage', ['--before']],
    ]
    for (const [code, fault, args] of cases) {
      const outcome = await restore(...args)
      assert.deepEqual([outcome.code, outcome.stderr.includes(`(${fault})`)], [code, true], outcome.stderr)
    }
  })

  test('Ctrl-C ends a restore with 130, and what is left cannot be taken for a database', async () => {
    const target = join(directory, 'interrupted')
    const args = ['restore', '--to', target, '--config', n1.configFile]
    const { code, stderr } = await runHoldfast(args, directory, (child) => {
      child.stderr?.once('data', () => child.kill('SIGINT'))
    })
    assert.equal(code, 130, stderr)
    assert.match(stderr, /interrupted by SIGINT/)
    const left: string[] = await readdir(target).catch(() => [])
    assert.ok(left.length === 0 || left.includes('holdfast-restore-incomplete'), left.join())
  })

  test('a wrong passphrase and an altered object are named, each with its exit code', async () => {
    await copyFile(cluster.passphraseFile, `${cluster.passphraseFile}.kept`)
    await writeFile(cluster.passphraseFile, 'wrong', { mode: 0o600 })
    const wrong = await cluster.holdfast(n1, 'backups')
    assert.deepEqual([wrong.code, wrong.stderr.includes('(repository-wrong-key)')], [5, true], wrong.stderr)
    await rename(`${cluster.passphraseFile}.kept`, cluster.passphraseFile)
    const packs = join(cluster.repositoryPath, 'test', 'packs')
    const [backup] = await readdir(packs)
    const pack = join(packs, backup ?? '', (await readdir(join(packs, backup ?? '')))[0] ?? '')
    const bytes = await readFile(pack)
    const altered = Buffer.from(bytes)
    altered[1000] = (altered[1000] ?? 0) ^ 1
    await writeFile(`${pack}.altered`, altered)
    await rename(`${pack}.altered`, pack)
    const verified = await cluster.holdfast(n1, 'backups', '--verify')
    assert.equal(verified.code, 8)
    assert.match(verified.stdout, new RegExp(`! ${backup}: .*packs/${backup}/`))
    await writeFile(pack, bytes)
  })

  test('agents end in good order', async () => {
    assert.deepEqual(await Promise.all(cluster.nodes.map((node) => cluster.stop(node))), [0, 0])
    const status = await cluster.holdfast(n1, 'status')
    assert.equal(status.code, 1)
    assert.match(status.stdout, /there is no leader/)
  })
})

function lsnOf(text: string | undefined): bigint {
  const [high = '0', low = '0'] = (text ?? '0/0').split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}
