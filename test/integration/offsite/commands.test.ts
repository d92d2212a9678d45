import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { processesBelow } from '../../../src/cli/demo/node-processes.ts'
import { prepareCliCluster } from '../../support/cli-cluster.ts'
import type { CliCluster, CliNode } from '../../support/cli-cluster.ts'
import { createTestDirectory } from '../../support/postgres.ts'

interface Status {
  readonly verdict: string
  readonly acceptsWrites: boolean | 'unknown'
  readonly problems: readonly string[]
  readonly repositories: readonly {
    readonly name: string
    readonly archivedTo: string | null
    readonly last: { readonly id: string } | null
    readonly archiver: { readonly state: string; readonly error: unknown } | null
    readonly lag: {
      readonly walMs: number | null
      readonly allMs: number | null
      readonly backups: number | null
    } | null
  }[]
}

interface Listing {
  readonly repository: string
  readonly backups?: readonly { readonly id: string }[]
  readonly window?: { readonly toLsn: string }
  readonly error?: { readonly code: string }
}

describe('a cluster with a copy in another place', { concurrency: false, timeout: 240_000 }, () => {
  const stack = new AsyncDisposableStack()
  let directory = ''
  let cluster: CliCluster
  let node: CliNode
  let offsite = ''
  const away = (path: string): string => `${path}.away`

  before(async () => {
    directory = stack.use(await createTestDirectory()).path
    cluster = stack.use(await prepareCliCluster(directory, ['n1']))
    node = cluster.nodes[0] as CliNode
    offsite = join(directory, 'offsite')
    const config = parse(await readFile(node.configFile, 'utf8')) as { repositories: object[] }
    config.repositories.push({ name: 'offsite', type: 'filesystem', path: offsite, bandwidth: '200MB' })
    await writeFile(node.configFile, stringify(config))
  })
  after(() => stack.disposeAsync())

  const repository = ({ repositories }: Status, name: string): Status['repositories'][number] =>
    repositories.find((candidate) => candidate.name === name) ?? assert.fail(name)
  const slots = (): Promise<readonly { name: string; behind: string }[]> =>
    cluster.withPrimary((sql) =>
      sql.query(
        'SELECT slot_name AS name, pg_current_wal_lsn() - restart_lsn AS behind FROM pg_replication_slots ORDER BY 1',
      ),
    )
  const write = (megabytes: number): Promise<string> =>
    cluster.withPrimary(async (sql) => {
      await sql.query(`INSERT INTO kept SELECT repeat('x', 1000) FROM generate_series(1, ${megabytes * 1000})`)
      const [row] = await sql.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
      return row?.lsn ?? ''
    })
  /** The copy reaches a position, by what it holds itself. */
  const reaches = (name: string, lsn: string): Promise<unknown> =>
    cluster.waitFor<Status>(node, 'status', (status) => lsnOf(repository(status, name).archivedTo) >= lsnOf(lsn))

  test('a copy whose place is missing holds nothing up, and is a problem', async () => {
    cluster.start(node)
    await cluster.waitFor<Status>(node, 'status', ({ acceptsWrites }) => acceptsWrites === true)
    await cluster.withPrimary((sql) => sql.query('CREATE TABLE kept (t text)'))
    // As it was when every repository had an archiver of its own.
    await cluster.withPrimary((sql) =>
      sql.query("SELECT pg_create_physical_replication_slot('holdfast_archive_offsite', true)"),
    )
    await cluster.stop(node)
    cluster.start(node)
    await cluster.waitFor<Status>(node, 'status', ({ acceptsWrites }) => acceptsWrites === true)
    assert.equal((await cluster.holdfast(node, 'backup')).code, 0)
    const status = await cluster.waitFor<Status>(node, 'status', ({ problems }) =>
      problems.some((problem) => problem.startsWith('repository offsite cannot be copied to: Cannot open the store')),
    )
    assert.equal(repository(status, 'local').archiver?.state, 'streaming')
    assert.deepEqual(
      (await slots()).map(({ name }) => name),
      ['holdfast_archive_local'],
    )
    assert.deepEqual(await readdir(join(directory, 'n1', 'state', 'spool')), ['local'])
  })

  test('once it is there it gets everything, and then WAL within seconds', async () => {
    await mkdir(offsite)
    await cluster.waitFor<Status>(node, 'status', (status) => repository(status, 'offsite').lag?.allMs === 0)
    const since = Date.now()
    await reaches('offsite', await write(1))
    assert.ok(Date.now() - since < 60_000)
    const second = await cluster.holdfast(node, 'backup', '--json')
    const { id } = (JSON.parse(second.stdout) as { backup: { id: string } }).backup
    const status = await cluster.waitFor<Status>(
      node,
      'status',
      (found) => repository(found, 'offsite').last?.id === id,
    )
    assert.deepEqual(
      status.problems.filter((problem) => problem.includes('offsite')),
      [],
    )
    const listed = JSON.parse((await cluster.holdfast(node, 'backups', '--json')).stdout) as Listing[]
    assert.deepEqual(listed[0]?.backups, listed[1]?.backups)
    assert.equal((await cluster.holdfast(node, 'backups', '--verify', '--repository', 'offsite')).code, 0)
  })

  test('a copier that is killed is started again and goes on', async () => {
    const commands = await Promise.all(
      (await processesBelow(directory)).map(async (pid) => {
        const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
        return { pid, words: text.split('\0') }
      }),
    )
    const copiers = commands.filter(({ words }) => words.includes('copier'))
    assert.equal(copiers.length, 1)
    process.kill(copiers[0]?.pid ?? assert.fail(), 'SIGKILL')
    await reaches('offsite', await write(2))
  })

  test('a copy that dies under way blocks neither archiver nor server, and catches up when it is back', async () => {
    await rename(offsite, away(offsite))
    const lsn = await write(6)
    await reaches('local', lsn)
    const status = await cluster.waitFor<Status>(node, 'status', ({ problems }) =>
      problems.some((problem) => problem.startsWith('repository offsite cannot be copied to')),
    )
    assert.equal(repository(status, 'local').archiver?.error, null)
    const held = await slots()
    assert.deepEqual(
      held.map(({ name }) => name),
      ['holdfast_archive_local'],
    )
    assert.ok(Number(held[0]?.behind) < 3 << 20, held[0]?.behind)
    await rename(away(offsite), offsite)
    await reaches('offsite', lsn)
    await cluster.waitFor<Status>(node, 'status', (found) => repository(found, 'offsite').lag?.allMs === 0)
  })

  test('a copy is not written to by anything else, and the first is no copy', async () => {
    for (const [args, code, fault] of [
      [['backup', '--repository', 'offsite'], 2, 'cli-repository-is-copy'],
      [['dump', '--repository', 'offsite'], 2, 'cli-repository-is-copy'],
      [['copy', '--repository', 'local'], 2, 'cli-repository-is-first'],
    ] as const) {
      const outcome = await cluster.holdfast(node, ...args)
      assert.deepEqual([outcome.code, outcome.stderr.includes(`(${fault})`)], [code, true], outcome.stderr)
    }
    const check = await cluster.holdfast(node, 'check', '--json')
    const { items } = JSON.parse(check.stdout) as { items: { name: string; level: string; observed: string }[] }
    const copy = items.find(({ name }) => name === 'repository offsite')
    assert.equal(copy?.level, 'pass', copy?.observed)
    await rename(join(offsite, 'repository.json'), join(offsite, 'keys', 'aside'))
    const other = (await readFile(join(offsite, 'keys', 'aside'), 'utf8')).replace(
      /"repositoryId": "[^"]+"/,
      '"repositoryId": "other"',
    )
    const { sha256: _, ...value } = JSON.parse(other) as Record<string, unknown>
    const sha256 = createHash('sha256').update(JSON.stringify(value)).digest('hex')
    await writeFile(join(offsite, 'repository.json'), JSON.stringify({ ...value, sha256 }))
    const refused = await cluster.holdfast(node, 'copy')
    assert.deepEqual([refused.code, refused.stderr.includes('(offsite-other-repository)')], [5, true], refused.stderr)
    assert.match((await cluster.holdfast(node, 'check')).stdout, /✗ repository offsite: .* the other other/)
    await rename(join(offsite, 'keys', 'aside'), join(offsite, 'repository.json'))
    const expired = await cluster.holdfast(node, 'expire', '--dry-run', '--json')
    assert.equal(expired.code, 0, expired.stderr)
    assert.match(expired.stdout, /the first repository has it/)
  })

  test('every command of the guide does what it says', async () => {
    const guide = await readFile(join(import.meta.dirname, '../../../docs/guide/off-site-copies.md'), 'utf8')
    const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
    const lines = blocks.flatMap((block) => block.trim().split('\n'))
    assert.equal(lines.length, 3)
    for (const line of lines) {
      const [program, ...args] = line.split(' ')
      assert.equal(program, 'holdfast')
      const { code, stderr } = await cluster.holdfast(node, ...args)
      assert.equal(code, 0, `${line}: ${stderr}`)
    }
  })

  test('with the first repository gone, commands name the copy, and a restore straight from it works', async () => {
    const lsn = await write(1)
    await reaches('offsite', lsn)
    await cluster.withPrimary((sql) => sql.query('CHECKPOINT'))
    await cluster.stop(node)
    await rename(cluster.repositoryPath, away(cluster.repositoryPath))
    const listed = await cluster.holdfast(node, 'backups', '--json')
    assert.equal(listed.code, 7, listed.stderr)
    const [copy, gone] = JSON.parse(listed.stdout) as Listing[]
    assert.deepEqual(
      [copy?.repository, gone?.repository, gone?.error?.code],
      ['offsite', 'local', 'store-root-missing'],
    )
    const target = join(directory, 'restored')
    const refused = await cluster.holdfast(node, 'restore', '--to', target)
    assert.equal(refused.code, 4)
    assert.match(refused.stderr, /Its copy offsite can be read: `--repository offsite`/)
    const restored = await cluster.holdfast(node, 'restore', '--to', target, '--repository', 'offsite', '--json')
    assert.equal(restored.code, 0, restored.stderr)
    const { plan } = JSON.parse(restored.stdout) as { plan: { walEndLsn: string } }
    assert.ok(lsnOf(plan.walEndLsn) >= lsnOf(lsn))
    await rename(away(cluster.repositoryPath), cluster.repositoryPath)
    const again = await cluster.holdfast(node, 'copy')
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stdout, /^repository offsite: .*; it has 2 of 2 backups\n$/)
  })
})

function lsnOf(text: string | null | undefined): bigint {
  const [high = '0', low = '0'] = (text ?? '0/0').split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}
