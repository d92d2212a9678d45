import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { chooseInstallation } from '../../src/postgres/installation.ts'
import { withSql } from '../../src/postgres/sql.ts'
import { Secret } from '../../src/std/secret.ts'
import { prepareCliCluster, runHoldfast } from '../support/cli-cluster.ts'
import { createTestDirectory, testSearch } from '../support/postgres.ts'
import { withRestoredCopy } from '../support/restored-copy.ts'

interface Place {
  /** The keys of a repository of the configuration that say where it is. */
  readonly settings: Readonly<Record<string, unknown>>
  /** The same as an address. */
  readonly address: string
  /** Where a copy of it goes, in the same way. */
  readonly copy?: Readonly<Record<string, unknown>>
}

/**
 * The first repository of a cluster is in a store: agents make it, stream WAL into it and back up to it by the shipped
 * commands; then everything is restored in a place where there is nothing but the key and the store's address.
 */
export function repositoryInStore(name: string, place: (directory: string) => Promise<Place>): void {
  test(`a cluster archives and backs up to ${name}, and is restored with its address and key alone`, async () => {
    await using stack = new AsyncDisposableStack()
    const directory = stack.use(await createTestDirectory()).path
    const { settings, address, copy } = await place(directory)
    const cluster = stack.use(await prepareCliCluster(directory, ['n1']))
    const [node] = cluster.nodes
    assert.ok(node)
    const config = parse(await readFile(node.configFile, 'utf8')) as Record<string, unknown>
    const { passphraseFile } = cluster
    const copies = copy === undefined ? [] : [{ name: 'vault', ...copy }]
    config['repositories'] = [{ name: 'remote', ...settings, passphraseFile }, ...copies]
    await writeFile(node.configFile, stringify(config))
    cluster.start(node)
    await cluster.waitFor<{ leader: string | null }>(node, 'status', ({ leader }) => leader === 'n1')
    await cluster.withPrimary((sql) => sql.query('CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n'))
    const backup = await cluster.holdfast(node, 'backup')
    assert.equal(backup.code, 0, backup.stderr)
    const [row] = await cluster.withPrimary(async (sql) => {
      await sql.query('INSERT INTO kept SELECT generate_series(1001, 1500)')
      return await sql.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
    })
    const lsn = lsnOf(row?.lsn)
    await cluster.waitFor<{ window: { toLsn: string | null } | null }[]>(
      node,
      'backups',
      ([remote]) => lsnOf(remote?.window?.toLsn ?? undefined) >= lsn,
    )
    if (copy !== undefined) {
      const copied = await cluster.holdfast(node, 'copy')
      assert.equal(copied.code, 0, copied.stdout + copied.stderr)
      const verified = await cluster.holdfast(node, 'verify', '--repository', 'vault', '--level', '1')
      assert.equal(verified.code, 0, verified.stdout + verified.stderr)
    }
    await cluster.stop(node)

    const elsewhere = join(directory, 'elsewhere')
    const away = stack.use(await createTestDirectory()).path
    const [listing = [], restoring = []] = await guideCommands({
      's3://acme-backups/holdfast/main': address,
      './repository.passphrase': passphraseFile,
      '/srv/restored': elsewhere,
    })
    const listed = await runHoldfast([...listing, '--verify'], away)
    assert.equal(listed.code, 0, listed.stdout + listed.stderr)
    assert.match(listed.stdout, /^repository address: 1, every object verified$/m)
    const restored = await runHoldfast([...restoring, '--set', 'shared_buffers=16MB'], away)
    assert.equal(restored.code, 0, restored.stdout + restored.stderr)
    const major = Number(await readFile(join(elsewhere, 'PG_VERSION'), 'utf8'))
    const installation = await chooseInstallation(testSearch(), { major })
    const superuser = {
      host: '',
      port: 0,
      user: 'postgres',
      password: new Secret('superuser secret'),
      database: 'postgres',
    }
    const rows = await withRestoredCopy(installation, elsewhere, superuser, ({ target }) =>
      withSql(target, {}, (sql) => sql.query('SELECT count(*)::text AS count FROM kept')),
    )
    assert.deepEqual(rows, [{ count: '1500' }])
  })
}

/** What the guide tells to type on a new machine, with the places of this test. */
async function guideCommands(places: Readonly<Record<string, string>>): Promise<readonly (readonly string[])[]> {
  const guide = await readFile(new URL('../../docs/guide/off-site-stores.md', import.meta.url), 'utf8')
  const lines = guide.split('\n').filter((line) => /^holdfast (backups|restore) --store s3:/.test(line))
  assert.equal(lines.length, 2)
  return lines.map((line) =>
    line
      .split(' ')
      .slice(1)
      .map((word) => places[word] ?? word),
  )
}

function lsnOf(text: string | undefined): bigint {
  const [high = '0', low = '0'] = (text ?? '0/0').split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}
