import assert from 'node:assert/strict'
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { spawnSync } from 'node:child_process'
import { processesBelow } from '../../src/cli/demo/node-processes.ts'
import { exitCodes } from '../../src/std/fault.ts'
import type { ExitClass } from '../../src/std/fault.ts'
import { seededRandom } from '../../src/std/random.ts'
import { prepareCliCluster, runHoldfast } from '../support/cli-cluster.ts'
import type { CliCluster, CliNode, CliOutcome } from '../support/cli-cluster.ts'
import { createTestDirectory, createTestServer, testMajors } from '../support/postgres.ts'

/** Bad input and faults as an operator meets them: the shipped commands, what they print, how they exit, what stays. */
interface Status {
  readonly leader: string | null
  readonly problems: readonly string[]
  readonly nodes: readonly { readonly name: string; readonly state: string; readonly trouble: string | null }[]
}

/** One block on standard error: what and why, a hint, the code; nothing on standard output, no stack. */
function assertOneError(outcome: CliOutcome, exitClass: ExitClass, code: string, names: RegExp): void {
  const text = outcome.stderr
  assert.equal(outcome.code, exitCodes[exitClass], text + outcome.stdout)
  assert.equal(outcome.stdout, '')
  assert.match(text, names)
  assert.match(text, new RegExp(String.raw`^  hint: .+\n  \(${code}\)\n$`, 'm'))
  assert.equal(text.match(/^Cannot /gm)?.length, 1, text)
  assert.doesNotMatch(text, /^\s+at /m)
}

/** Somebody else's program on a port, until disposed. */
async function occupy(port: number): Promise<AsyncDisposable> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return server
}

describe('bad input and faults', { concurrency: false }, () => {
  const stack = new AsyncDisposableStack()
  let directory = ''
  let cluster: CliCluster
  let node: CliNode
  let other: CliNode
  let newDirectories = 0

  const freshDirectory = (): string => join(directory, `to-${(newDirectories += 1)}`)
  const restore = (to: string, ...args: readonly string[]): Promise<CliOutcome> =>
    cluster.holdfast(node, 'restore', '--to', to, '--set', 'shared_buffers=16MB', ...args)
  const isRunning = ({ leader, nodes }: Status): boolean =>
    leader === node.name && nodes.some(({ name, state }) => name === leader && state === 'running')

  before(async () => {
    directory = stack.use(await createTestDirectory()).path
    cluster = stack.use(await prepareCliCluster(directory, ['n1', 'n2']))
    ;[node, other] = cluster.nodes as [CliNode, CliNode]
  })
  after(() => stack.disposeAsync())

  test('a configuration with many mistakes: every command names all of them at once, and does nothing', async () => {
    const file = join(directory, 'bad.yaml')
    const good = await readFile(node.configFile, 'utf8')
    const bad = good
      .replace('cluster:', 'clutser:')
      .replace('dataDirectory:', 'datadirectory:')
      .replace('walSegmentMegabytes: 1', 'walSegmentMegabytes: 3')
    await writeFile(file, `${bad}leese:\n  ttl: 5s\n`)
    for (const command of ['agent', 'status', 'backup', 'backups', 'check']) {
      const outcome = await runHoldfast([command, '--config', file], directory)
      assertOneError(outcome, 'usage', 'config-invalid', /bad\.yaml: 4 problems$/m)
      assert.match(outcome.stderr, /line 1: clutser: unknown key; did you mean cluster\?/)
      assert.match(outcome.stderr, /node\.datadirectory: unknown key; did you mean node\.dataDirectory\?/)
      assert.match(outcome.stderr, /postgres\.walSegmentMegabytes: 3 given; expected one of 1, 2, 4/)
      assert.match(outcome.stderr, /leese: unknown key; did you mean lease\?/)
    }
    await rm(file)
  })

  test("the API's port in use: the agent says so and leaves nothing; PostgreSQL's: status says so, and it goes on", async () => {
    {
      await using _api = await occupy(node.apiPort)
      const refused = await cluster.holdfast(node, 'agent')
      assertOneError(refused, 'busy', 'http-port-in-use', new RegExp(`127\\.0\\.0\\.1:${node.apiPort}`))
    }
    {
      await using _postgres = await occupy(node.port)
      const check = await cluster.holdfast(node, 'check')
      assert.match(check.stdout, new RegExp(`✗ postgres\\.port ${node.port}: another program listens`))
      cluster.start(node)
      const named = `n1: Cannot start PostgreSQL on port ${node.port}: another program listens`
      const says = ({ problems }: Status): boolean => problems.some((problem) => problem.startsWith(named))
      await cluster.waitFor<Status>(node, 'status', says)
    }
    await cluster.waitFor<Status>(node, 'status', isRunning)
    await cluster.withPrimary((sql) => sql.query('CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n'))
    assert.equal((await cluster.holdfast(node, 'backup')).code, 0)
  })

  test('a wrong passphrase opens nothing, and nothing is written', async () => {
    const kept = await readFile(cluster.passphraseFile)
    const objects = (await readdir(cluster.repositoryPath, { recursive: true })).filter(
      (name) => !/wal|tail/.test(name),
    )
    await writeFile(cluster.passphraseFile, 'wrong', { mode: 0o600 })
    const to = freshDirectory()
    const outcomes = [
      await cluster.holdfast(node, 'backups'),
      await cluster.holdfast(node, 'backup'),
      await restore(to),
    ]
    await writeFile(cluster.passphraseFile, kept)
    for (const outcome of outcomes) assertOneError(outcome, 'refused', 'repository-wrong-key', /does not open keys\//)
    await assert.rejects(readdir(to), { code: 'ENOENT' })
    const now = (await readdir(cluster.repositoryPath, { recursive: true })).filter((name) => !/wal|tail/.test(name))
    assert.deepEqual(now, objects)
  })

  test('truncated, altered, missing and swapped objects are named and never restored', async () => {
    const root = join(cluster.repositoryPath, 'test')
    const [backup = ''] = await readdir(join(root, 'packs'))
    const [first = '', second = ''] = (await readdir(join(root, 'packs', backup))).toSorted()
    const key = (name: string): string => `packs/${backup}/${name}`
    const flip = (bytes: Buffer): Buffer =>
      Buffer.from(bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte)))
    const cases: readonly (readonly [string, string, (bytes: Buffer) => Buffer | undefined, string])[] = [
      ['truncated', key(first), (bytes) => bytes.subarray(0, -1), 'repository-object-damaged'],
      ['altered', key(second), flip, 'repository-object-damaged'],
      ['missing', key(second), () => undefined, 'repository-object-missing'],
      ['altered', `backups/${backup}/manifest`, flip, 'repository-object-damaged'],
      ['missing', `backups/${backup}/manifest`, () => undefined, 'repository-object-missing'],
    ]
    for (const [what, object, change, code] of cases) {
      const path = join(root, object)
      const good = await readFile(path)
      await rename(path, `${path}.good`)
      const bytes = change(good)
      if (bytes !== undefined) await writeFile(path, bytes)
      const to = freshDirectory()
      const outcome = await restore(to)
      assertOneError(outcome, 'integrity', code, new RegExp(`Cannot use object test/${object}: `))
      await assertNoDatabase(to, `${what} ${object}`)
      const verified = await cluster.holdfast(node, 'backups', '--verify')
      assert.equal(verified.code, exitCodes.integrity)
      assert.match(verified.stdout, new RegExp(`! ${backup}: Cannot use object test/${object}: `))
      assert.doesNotMatch(verified.stdout, /every object verified/)
      await rename(`${path}.good`, path)
    }
    const [one, two] = [join(root, key(first)), join(root, key(second))]
    const swap = async (): Promise<void> => {
      await rename(one, `${one}.other`)
      await rename(two, one)
      await rename(`${one}.other`, two)
    }
    await swap()
    const to = freshDirectory()
    const swapped = /Cannot use object test\/packs\/.*: it (is whole, but not the object|has \d+ bytes, not \d+$)/m
    assertOneError(await restore(to), 'integrity', 'repository-object-damaged', swapped)
    await assertNoDatabase(to, 'swapped')
    await swap()
    assert.equal((await cluster.holdfast(node, 'backups', '--verify')).code, 0)
  })

  test('a repository without its repository.json or keys is refused, and no new one is made in its place', async () => {
    const description = join(cluster.repositoryPath, 'repository.json')
    const keys = join(cluster.repositoryPath, 'keys')
    const before = await readdir(keys)
    await rename(description, join(directory, 'aside'))
    for (const command of ['backup', 'backups']) {
      const outcome = await cluster.holdfast(node, command)
      assertOneError(outcome, 'refused', 'repository-place-occupied', /it holds test\/\S+, but no repository\.json/)
    }
    await rename(join(directory, 'aside'), description)
    await rename(keys, join(directory, 'aside'))
    assertOneError(await cluster.holdfast(node, 'backups'), 'integrity', 'repository-object-missing', /keys\//)
    await rename(join(directory, 'aside'), keys)
    assert.deepEqual(await readdir(keys), before)
    assert.equal((await cluster.holdfast(node, 'backups')).code, 0)
  })

  test('targets before the oldest backup, after the last WAL and on no timeline are refused before anything is written', async () => {
    const cases: readonly (readonly [ExitClass, string, RegExp, readonly string[]])[] = [
      ['usage', 'restore-target-too-early', /ended only at/, ['--target-time', '2020-01-01 00:00:00Z']],
      ['usage', 'restore-target-too-late', /the archived WAL ends at/, ['--target-lsn', 'FF/0']],
      ['usage', 'restore-timeline-unknown', /no timeline 99/, ['--timeline', '99']],
      ['notFound', 'restore-no-backup', /no backup 2020/, ['--backup', '20200101T000000Z-00000000']],
    ]
    const to = freshDirectory()
    for (const [exitClass, code, names, args] of cases) {
      assertOneError(await restore(to, ...args), exitClass, code, names)
      await assert.rejects(readdir(to), { code: 'ENOENT' })
    }
    // Whether a commit so late exists only the WAL itself tells: it is replayed, and the database is not opened.
    const late = await restore(to, '--target-time', '2050-01-01 00:00:00Z')
    assertOneError(late, 'failed', 'restore-target-not-reached', /not in the archived WAL of timeline 1/)
    assert.match(late.stderr, new RegExp(`hint: Choose an earlier target.* goes on with what is in ${to}`))
    await assertNoDatabase(to, 'a time after the last commit')
  })

  test('a directory that is not empty is refused and stays as it is, the live one above all', async () => {
    const full = freshDirectory()
    await mkdir(full)
    await writeFile(join(full, 'precious'), 'content')
    assertOneError(await restore(full), 'refused', 'restore-directory-not-empty', /to-\d+: it holds precious/)
    assert.deepEqual(await readdir(full), ['precious'])
    const live = join(directory, 'n1', 'data')
    assertOneError(await restore(live), 'busy', 'postgres-already-running', /n1\/data: a server with process id/)
    assertOneError(await restore(node.configFile), 'refused', 'restore-directory-not-empty', /ENOTDIR/)
    await cluster.withPrimary((sql) => sql.query('SELECT 1'))
  })

  test('Ctrl-C at any moment of a backup: 130, one message, no process, nothing listed that cannot be restored', async () => {
    const random = seededRandom(11)
    const begun = performance.now()
    assert.equal((await cluster.holdfast(node, 'backup')).code, 0)
    const wholeMs = performance.now() - begun
    const processes = (await processesBelow(directory)).length
    const outcomes: (number | null)[] = []
    for (let round = 0; round < 12; round += 1) {
      const { outcome } = await interrupted(['backup'], random() * wholeMs)
      outcomes.push(outcome.code)
      assertInterrupted(outcome)
    }
    assert.ok(outcomes.filter((code) => code === 130).length >= 4, outcomes.join())
    assert.equal((await processesBelow(directory)).length, processes)
    const listed = await cluster.holdfast(node, 'backups', '--verify')
    assert.equal(listed.code, 0, listed.stdout)
    assert.equal((await cluster.holdfast(node, 'backup')).code, 0)
    const to = freshDirectory()
    const last = await restore(to)
    assert.equal(last.code, 0, last.stderr)
  })

  test('Ctrl-C at any moment of a restore: 130, one message, and the next run goes on with what is there', async () => {
    const random = seededRandom(12)
    const begun = performance.now()
    const to = freshDirectory()
    assert.equal((await restore(to)).code, 0)
    const wholeMs = performance.now() - begun
    await rm(to, { recursive: true })
    const processes = (await processesBelow(directory)).length
    const outcomes: (number | null)[] = []
    for (let round = 0; round < 12; round += 1) {
      const { outcome } = await interrupted(['restore', '--to', to], random() * wholeMs)
      outcomes.push(outcome.code)
      assertInterrupted(outcome)
      const left: readonly string[] = await readdir(to).catch(() => [])
      if (outcome.code === 130 && left.length > 0) {
        // Before it has begun to write, it has nothing to say of what an earlier one left.
        const hint = `hint: (Run the same command again: it goes on with what is in ${to}|Nothing was lost; run the same)`
        assert.match(outcome.stderr, new RegExp(hint))
        await assertNoDatabase(to, 'an interrupted restore')
      }
      if (outcome.code === 0) await rm(to, { recursive: true })
    }
    assert.ok(outcomes.filter((code) => code === 130).length >= 4, outcomes.join())
    assert.equal((await processesBelow(directory)).length, processes)
    assert.equal((await restore(to)).code, 0)
  })

  test('data of another system, and of another major release, are refused by name and left as they are', async () => {
    const data = join(directory, 'n2', 'data')
    {
      await using foreign = await createTestServer()
      await foreign.stop()
      await cp(foreign.dataDirectory, data, { recursive: true })
    }
    const control = await readFile(join(data, 'global', 'pg_control'))
    cluster.start(other)
    const says = (what: RegExp) => (status: Status) => status.problems.some((problem) => what.test(problem))
    await cluster.waitFor<Status>(node, 'status', says(/^n2: .*system/))
    await cluster.stop(other)
    assert.deepEqual(await readFile(join(data, 'global', 'pg_control')), control)
    const [newest, older] = await testMajors()
    if (older === undefined) return
    const config = await readFile(other.configFile, 'utf8')
    const version = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim()
    const wrong = [newest, older].find(({ major } = older) => String(major) !== version) ?? older
    const lines = `postgres:\n  major: ${wrong.major}\n  binDirectory: ${wrong.binDirectory}\n`
    await writeFile(other.configFile, config.replace('postgres:\n', lines))
    const agent = cluster.start(other)
    await cluster.waitFor<Status>(node, 'status', says(new RegExp(`^n2: .*(major|PostgreSQL) ?${version}`)))
    assert.equal(agent.exitCode, null)
    await cluster.stop(other)
    assert.deepEqual(await readFile(join(data, 'global', 'pg_control')), control)
  })

  /** PostgreSQL itself does not start it, or only to stop in recovery. */
  async function assertNoDatabase(to: string, what: string): Promise<void> {
    const left: readonly string[] = await readdir(to).catch(() => [])
    if (left.length === 0) return
    const version = Number(await readFile(join(to, 'PG_VERSION'), 'utf8').catch(() => ''))
    const majors = await testMajors()
    const installation = majors.find(({ major }) => major === version) ?? majors[0]
    assert.ok(installation !== undefined)
    const { status, stdout, stderr } = spawnSync(
      installation.tools.postgres,
      ['-D', to, '-c', 'listen_addresses=', '-c', `unix_socket_directories=${to}`],
      { encoding: 'utf8', timeout: 20_000, env: { ...process.env, ...installation.environment } },
    )
    assert.ok(status !== null && status !== 0, `${what}: ${stdout}${stderr}`)
    assert.doesNotMatch(`${stdout}${stderr}`, /ready to accept/, what)
  }

  async function interrupted(args: readonly string[], atMs: number): Promise<{ readonly outcome: CliOutcome }> {
    const line = [...args, '--config', node.configFile]
    const outcome = await runHoldfast(line, directory, (child) => {
      setTimeout(() => child.kill('SIGINT'), atMs)
    })
    return { outcome }
  }

  /** It ended before the signal, or before Node.js could hear it, or says in one block that it was interrupted. */
  function assertInterrupted(outcome: CliOutcome): void {
    if (outcome.code === 0) return
    if (outcome.code === null) return assert.equal(outcome.stdout + outcome.stderr, '')
    assertOneError(outcome, 'interrupted', 'interrupted', /^Cannot finish: interrupted by SIGINT$/m)
  }
})
