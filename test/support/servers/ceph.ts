import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../../../src/postgres/port.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { runProgram } from '../../../src/std/run-program.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import { createTestDirectory } from '../postgres.ts'
import { serverPath, startProcess, waitForHttp } from './server-process.ts'

export interface S3Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A Ceph RADOS Gateway: real S3 with signatures, conditional writes, versions and object lock. */
export interface CephGateway extends AsyncDisposable {
  readonly endpoint: string
  readonly endpointTls: string
  readonly port: number
  /** Signs the certificate of {@link endpointTls}. */
  readonly caFile: string
  readonly keys: S3Keys
  /** Scratch space of the tests, removed with the server. */
  readonly directory: string
  /** Runs `radosgw-admin` and gives back what it prints. */
  admin(...words: readonly string[]): Promise<string>
}

export const cephMissing = ['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw-admin', 'openssl'].some(
  (name) => !existsSync(join('/usr/bin', name)),
)
  ? 'Ceph is not installed'
  : undefined

const environment = { PATH: serverPath, HOME: '/nonexistent' }

/** Starts one monitor, one OSD that keeps everything in memory, and a gateway with a user, on loopback ports. */
export async function startCeph(): Promise<CephGateway> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await createTestDirectory())
  for (const name of ['run', 'log', 'crash', 'mon', 'osd', 'rgw']) await mkdir(join(path, name))
  const [monitor, gateway, gatewayTls] = [await freePort(), await freePort(), await freePort()]
  const clusterId = randomUUID()
  await makeCertificate(path)
  await writeFile(join(path, 'ceph.conf'), configuration(path, clusterId, { monitor, gateway, gatewayTls }))
  const run = async (program: string, ...words: readonly string[]): Promise<string> =>
    (await runProgram(join('/usr/bin', program), words, { environment, deadlineMs: 90_000 })).stdout
  const withConfiguration = ['-c', join(path, 'ceph.conf')]
  const start = async (program: string, ...words: readonly string[]) =>
    stack.use(
      await startProcess(join('/usr/bin', program), [...withConfiguration, ...words, '-f'], {
        logFile: join(path, 'log', `${program}.out`),
        environment,
      }),
    )
  await makeKeyring(join(path, 'keyring'), run)
  const map = join(path, 'monmap')
  const address = `v1:127.0.0.1:${monitor}`
  await run('monmaptool', '--create', '--fsid', clusterId, '--addv', 'a', `[${address}]`, map)
  const keyring = ['--keyring', join(path, 'keyring')]
  await run('ceph-mon', ...withConfiguration, '-i', 'a', '--mkfs', '--monmap', map, ...keyring)
  await start('ceph-mon', '-i', 'a')
  await untilListening(monitor)
  const osdId = randomUUID()
  await run('ceph', ...withConfiguration, 'osd', 'new', osdId, '0')
  await run('ceph-osd', ...withConfiguration, '-i', '0', '--mkfs', '--osd-uuid', osdId)
  await start('ceph-osd', '-i', '0')
  const admin = (...words: readonly string[]): Promise<string> =>
    run('radosgw-admin', ...withConfiguration, '-n', 'client.rgw.a', ...words)
  const keys = { accessKeyId: 'TESTACCESSKEY0000001', secretAccessKey: 'testsecretkey00000000000000000000000001' }
  // Makes the pools as well, quicker than the gateway does.
  await admin('user', 'create', '--uid=tester', '--display-name=Tester', ...keyWords(keys))
  const rgw = await start('radosgw', '-n', 'client.rgw.a')
  await waitForHttp(rgw, gateway, '/', join(path, 'log', 'radosgw.out'))
  const owned = stack.move()
  return {
    endpoint: `http://127.0.0.1:${gateway}`,
    endpointTls: `https://127.0.0.1:${gatewayTls}`,
    port: gateway,
    caFile: join(path, 'tls.crt'),
    keys,
    directory: path,
    admin,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export function keyWords(keys: S3Keys): readonly string[] {
  return [`--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`]
}

/** A self-signed certificate for this machine, `tls.crt` and `tls.key` in a directory. */
export async function makeCertificate(directory: string): Promise<void> {
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const files = ['-keyout', join(directory, 'tls.key'), '-out', join(directory, 'tls.crt')]
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  await runProgram('/usr/bin/openssl', [...words, '-subj', '/CN=localhost', '-addext', names, ...files], {
    environment,
    deadlineMs: 30_000,
  })
}

async function makeKeyring(file: string, run: (program: string, ...words: string[]) => Promise<string>): Promise<void> {
  const grants = {
    'mon.': ['mon', 'allow *'],
    'client.admin': ['mon', 'allow *', 'osd', 'allow *', 'mgr', 'allow *'],
    'osd.0': ['mon', 'allow profile osd', 'osd', 'allow *'],
    'client.rgw.a': ['mon', 'allow rw', 'osd', 'allow rwx'],
  }
  for (const [index, [name, words]] of Object.entries(grants).entries()) {
    const caps = Array.from({ length: words.length / 2 }, (_, pair) => [
      '--cap',
      ...words.slice(pair * 2, pair * 2 + 2),
    ])
    await run(
      'ceph-authtool',
      ...(index === 0 ? ['--create-keyring'] : []),
      file,
      '--gen-key',
      '-n',
      name,
      ...caps.flat(),
    )
  }
}

async function untilListening(port: number): Promise<void> {
  const look = (): Promise<true | undefined> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(undefined))
      socket.on('connect', () => socket.destroy())
    })
  await waitUntil(`a monitor on port ${port}`, look, { clock: systemClock, timeoutMs: 60_000 })
}

function configuration(
  directory: string,
  clusterId: string,
  ports: { readonly monitor: number; readonly gateway: number; readonly gatewayTls: number },
): string {
  const tls = `ssl_certificate=${directory}/tls.crt ssl_private_key=${directory}/tls.key`
  return `[global]
fsid = ${clusterId}
mon_initial_members = a
mon_host = [v1:127.0.0.1:${ports.monitor}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
run_dir = ${directory}/run
admin_socket = ${directory}/run/$name.asok
log_file = ${directory}/log/$name.log
pid_file = ${directory}/run/$name.pid
crash_dir = ${directory}/crash
keyring = ${directory}/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_warn_on_pool_no_redundancy = false
[mon]
mon_data = ${directory}/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[osd]
osd_data = ${directory}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_load_list = *
osd_class_default_list = *
osd_memory_target = 939524096
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:${ports.gateway} ssl_endpoint=127.0.0.1:${ports.gatewayTls} ${tls}
rgw_data = ${directory}/rgw
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_thread_pool_size = 64
`
}
