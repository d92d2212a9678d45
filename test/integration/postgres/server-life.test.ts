import assert from 'node:assert/strict'
import { access, chmod, copyFile, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isDataDirectory, writeServerConfiguration } from '../../../src/postgres/data-directory.ts'
import { postgresFaults } from '../../../src/postgres/faults.ts'
import { initializeDataDirectory } from '../../../src/postgres/initialize.ts'
import { readPostmasterPid, reloadServer, runningPostmaster } from '../../../src/postgres/postmaster.ts'
import { ensureReplicationRole } from '../../../src/postgres/roles.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { openSql, sqlState, withSql } from '../../../src/postgres/sql.ts'
import { isFault } from '../../../src/std/fault.ts'
import type { FaultKind } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import { createTestDirectory, createTestServer, superuserPassword, testMajors } from '../../support/postgres.ts'
import type { TestServer } from '../../support/postgres.ts'

const majors = await testMajors()

for (const installation of majors) {
  describe(`a server of PostgreSQL ${installation.version} (${installation.source})`, () => {
    let server: TestServer
    const nasty = { 'holdfast.text': 'it\'s a \\ "quoted" text\nwith two lines # and no comment', work_mem: '5MB' }

    before(async () => {
      server = await createTestServer({
        installation,
        parameters: nasty,
        settings: { synchronousStandbyNames: 'ANY 1 ("node-a", "no""de b")', clusterName: 'node-a' },
      })
    })
    after(() => server[Symbol.asyncDispose]())

    test('every parameter that was written is in force, and nothing in the files has an error', async () => {
      await using sql = await server.sql()
      assert.deepEqual(await sql.query('SELECT * FROM pg_file_settings WHERE error IS NOT NULL'), [])
      const show = async (name: string): Promise<unknown> =>
        (await sql.query<{ v: string }>('SELECT current_setting($1) AS v', [name]))[0]?.v
      assert.equal(await show('holdfast.text'), nasty['holdfast.text'])
      assert.equal(await show('work_mem'), '5MB')
      assert.equal(await show('synchronous_standby_names'), 'ANY 1 ("node-a", "no""de b")')
      assert.equal(await show('wal_retrieve_retry_interval'), '100ms')
      assert.equal(await show('wal_log_hints'), 'on')
      assert.equal(await show('wal_keep_size'), '512MB')
      assert.equal(await show('unix_socket_directories'), server.socketDirectory)
      assert.equal(await show('data_checksums'), 'on')
      assert.equal(await show('server_encoding'), 'UTF8')
      assert.equal(await show('password_encryption'), 'scram-sha-256')
    })

    test('only passwords open it, over TCP and over the socket, and each line of pg_hba.conf is understood', async () => {
      await using sql = await openSql(server.socketTarget)
      assert.deepEqual(await sql.query('SELECT * FROM pg_hba_file_rules WHERE error IS NOT NULL'), [])
      const methods = await sql.query('SELECT DISTINCT auth_method FROM pg_hba_file_rules')
      assert.deepEqual(methods, [{ auth_method: 'scram-sha-256' }])
      for (const target of [server.target, server.socketTarget, server.replicationTarget]) {
        const stranger = { ...target, password: new Secret('wrong') }
        await assert.rejects(openSql(stranger), fault(postgresFaults['postgres-authentication-failed']))
      }
    })

    test('the replication role connects with its password, which the log does not have', async () => {
      await using sql = await openSql(server.replicationTarget)
      assert.deepEqual(
        await sql.query('SELECT rolreplication AS r, rolsuper AS s FROM pg_roles WHERE rolname = current_user'),
        [{ r: true, s: false }],
      )
      const log = await readFile(server.logFile, 'utf8')
      assert.ok(!log.includes('replication secret'))
    })

    test('a password of any script opens the connection that it was set for', async () => {
      await using sql = await server.sql()
      await sql.query('SET synchronous_commit = local')
      for (const text of ['pässwörd €', '\ufb01\u00a0x', '\u2168\u00ad', "'\\:"]) {
        await ensureReplicationRole(sql, 'r ö"le', new Secret(text))
        await using own = await openSql({ ...server.target, user: 'r ö"le', password: new Secret(text) })
        assert.deepEqual(await own.query('SELECT current_user AS u'), [{ u: 'r ö"le' }])
      }
    })

    test('TLS is used where it is asked for, and a certificate of another authority or address is refused', async () => {
      for (const name of ['server.key', 'server.pem']) {
        await copyFile(join(import.meta.dirname, 'tls', name), join(server.directory, name))
        await chmod(join(server.directory, name), 0o600)
      }
      const tls = {
        certificateFile: join(server.directory, 'server.pem'),
        keyFile: join(server.directory, 'server.key'),
      }
      const plain = await openSql({ ...server.target, tls: { mode: 'require' } }).catch((error: unknown) => error)
      fault(postgresFaults['postgres-tls-failed'])(plain)
      await writeServerConfiguration(server.dataDirectory, { ...server.settings, tls })
      await server.stop()
      await server.start()
      const authority = await readFile(join(import.meta.dirname, 'tls', 'authority.pem'), 'utf8')
      const stranger = await readFile(join(import.meta.dirname, 'tls', 'stranger.pem'), 'utf8')
      for (const options of [{ mode: 'require' }, { mode: 'verify-full', authority }] as const) {
        await using sql = await openSql({ ...server.target, tls: options })
        assert.deepEqual(await sql.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'), [{ ssl: true }])
      }
      for (const [host, given] of [
        ['127.0.0.1', stranger],
        ['127.0.0.1', undefined],
        ['localhost', authority],
      ] as const) {
        await assert.rejects(
          openSql({ ...server.target, host, tls: { mode: 'verify-full', authority: given } }),
          fault(postgresFaults['postgres-tls-failed']),
        )
      }
      await writeServerConfiguration(server.dataDirectory, server.settings)
      await server.stop()
      await server.start()
    })

    test('a reload brings changed settings into force', async () => {
      await writeServerConfiguration(server.dataDirectory, { ...server.settings, synchronousStandbyNames: '' })
      await reloadServer(server.dataDirectory)
      await using sql = await server.sql()
      for (;;) {
        const [row] = await sql.query('SHOW synchronous_standby_names')
        if (row?.['synchronous_standby_names'] === '') break
      }
      const conf = await readFile(join(server.dataDirectory, 'postgresql.conf'), 'utf8')
      assert.equal(conf.match(/holdfast\.conf/g)?.length, 1)
      assert.ok(conf.endsWith("include_if_exists = 'holdfast.conf'\n"))
      assert.equal((await stat(join(server.dataDirectory, 'holdfast.conf'))).mode & 0o777, 0o600)
    })

    test('errors of statements, of limits and of lost connections are told apart', async () => {
      await using sql = await openSql(server.target, { statementTimeoutMs: 50 })
      await assert.rejects(sql.query('SELECT 1/0'), (error) => sqlState(error) === '22012')
      await assert.rejects(sql.query('SELECT pg_sleep(60)'), (error) => sqlState(error) === '57014')
      await withSql(server.target, {}, (other) => other.query('SELECT pg_terminate_backend($1)', [sql.backendPid]))
      await assert.rejects(sql.query('SELECT 1'), fault(postgresFaults['postgres-connection-lost']))
    })

    test('an aborted signal ends a statement at once, with the reason of the signal', async () => {
      const controller = new AbortController()
      await using sql = await openSql(server.target, { signal: controller.signal })
      const sleeping = sql.query('SELECT pg_sleep(3600)')
      controller.abort(new Error('enough'))
      await assert.rejects(sleeping, /enough/)
    })

    test('a second server on the directory, and one on the port, are refused before they start', async () => {
      const options = { logFile: join(server.directory, 'second.log') }
      await assert.rejects(
        startServer(installation, server.dataDirectory, options),
        fault(postgresFaults['postgres-already-running']),
      )
      await server.stop()
      const other = createServer()
      await new Promise<void>((resolve) => other.listen(server.port, '127.0.0.1', resolve))
      try {
        const listens = { port: server.port, addresses: ['127.0.0.1'] }
        const inUse = fault(postgresFaults['postgres-port-in-use'])
        await assert.rejects(startServer(installation, server.dataDirectory, { ...options, listens }), inUse)
        await assert.rejects(access(options.logFile))
        await assert.rejects(startServer(installation, server.dataDirectory, options), inUse)
      } finally {
        other.close()
      }
      await server.start()
    })

    test('a server that cannot start says why, with the last lines of its log', async () => {
      await server.stop()
      await assert.rejects(server.start({ shared_buffers: '1' }), (error) => {
        assert.ok(isFault(error, postgresFaults['postgres-start-failed']))
        assert.match(error.message, /shared_buffers/)
        return true
      })
      assert.equal(await runningPostmaster(server.dataDirectory), undefined)
      await server.start()
    })

    test('a killed server is seen to have ended, its pid file is not believed, and it recovers', async () => {
      const { pid, exited } = server.server
      assert.equal((await readPostmasterPid(server.dataDirectory))?.pid, pid)
      process.kill(pid, 'SIGKILL')
      assert.deepEqual(await exited, { exitCode: null, killedBy: 'SIGKILL' })
      assert.equal((await readPostmasterPid(server.dataDirectory))?.pid, pid)
      assert.equal(await runningPostmaster(server.dataDirectory), undefined)
      await server.start()
      await withSql(server.target, {}, (sql) => sql.query('SELECT 1'))
    })
  })
}

describe('initdb', () => {
  const [installation] = majors
  assert.ok(installation !== undefined)
  const options = { superuser: 'postgres', password: superuserPassword, durable: false }

  test('a directory with something in it is refused and stays as it is', async () => {
    await using directory = await createTestDirectory()
    await writeFile(join(directory.path, 'mine'), 'x')
    await assert.rejects(
      initializeDataDirectory(installation, directory.path, options),
      fault(postgresFaults['postgres-directory-unusable']),
    )
    assert.deepEqual(await readdir(directory.path), ['mine'])
  })

  test('a directory that cannot be written, or is a file, is refused', async () => {
    await using directory = await createTestDirectory()
    const locked = join(directory.path, 'locked')
    await mkdir(locked, { mode: 0o500 })
    await writeFile(join(directory.path, 'file'), 'x')
    for (const path of [locked, join(locked, 'data'), join(directory.path, 'file')]) {
      await assert.rejects(
        initializeDataDirectory(installation, path, options),
        fault(postgresFaults['postgres-directory-unusable']),
        path,
      )
    }
  })

  test('a password that PostgreSQL would cut is refused', async () => {
    await using directory = await createTestDirectory()
    for (const password of ['', 'two\nlines']) {
      await assert.rejects(
        initializeDataDirectory(installation, join(directory.path, 'data'), {
          ...options,
          password: new Secret(password),
        }),
        fault(postgresFaults['postgres-setting-refused']),
      )
    }
  })

  test('an aborted initdb leaves an empty directory', async () => {
    await using directory = await createTestDirectory()
    const data = join(directory.path, 'data')
    const controller = new AbortController()
    const running = initializeDataDirectory(installation, data, { ...options, signal: controller.signal })
    const refused = assert.rejects(running, /stop it/)
    while (!(await isDataDirectory(data))) await new Promise(setImmediate)
    controller.abort(new Error('stop it'))
    await refused
    assert.deepEqual(await readdir(data), [])
  })

  test('the directory of another major release is refused', async (context) => {
    const [newest, other] = majors
    if (newest === undefined || other === undefined) return context.skip('only one major release was found')
    await using directory = await createTestDirectory()
    const data = join(directory.path, 'data')
    await initializeDataDirectory(newest, data, options)
    await assert.rejects(
      startServer(other, data, { logFile: join(directory.path, 'log') }),
      fault(postgresFaults['postgres-wrong-major']),
    )
  })

  test('what is no data directory is refused', async () => {
    await using directory = await createTestDirectory()
    await assert.rejects(
      startServer(installation, directory.path, { logFile: join(directory.path, 'log') }),
      fault(postgresFaults['postgres-no-data-directory']),
    )
  })
})

test('an address where nobody listens is unreachable', async () => {
  await using directory = await createTestDirectory()
  const target = { port: 1, user: 'x', password: new Secret('x'), database: 'x' }
  for (const host of ['127.0.0.1', directory.path]) {
    await assert.rejects(openSql({ ...target, host }), fault(postgresFaults['postgres-unreachable']))
  }
})

function fault(kind: FaultKind): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFault(error, kind), `expected ${kind.code}, got ${String(error)}`)
    return true
  }
}
