import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../../src/postgres/port.ts'
import { runProgram } from '../../../src/std/run-program.ts'
import { createTestDirectory } from '../postgres.ts'
import type { S3Keys } from './ceph.ts'
import { serverPath, startProcess, waitForHttp } from './server-process.ts'

export interface SwiftServer extends AsyncDisposable {
  readonly endpoint: string
  readonly port: number
  readonly keys: S3Keys
}

const kinds = ['account', 'container', 'object'] as const

export const swiftMissing = [...kinds, 'proxy'].some((kind) => !existsSync(`/usr/bin/swift-${kind}-server`))
  ? 'OpenStack Swift is not installed'
  : undefined

/** OpenStack Swift behind its S3 interface, which answers 501 to a condition: a store that cannot create only if absent. */
export async function startSwift(): Promise<SwiftServer> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await createTestDirectory())
  await mkdir(join(path, 'devices', 'd1'), { recursive: true })
  await writeFile(
    join(path, 'swift.conf'),
    '[swift-hash]\nswift_hash_path_suffix = tests\n[storage-policy:0]\nname = Policy-0\ndefault = yes\n',
  )
  const environment = { PATH: serverPath, HOME: path }
  const ports = { account: await freePort(), container: await freePort(), object: await freePort() }
  const proxy = await freePort()
  await runProgram('/usr/bin/python3', ['-c', makeRings, path, ...kinds.map((kind) => `${kind}=${ports[kind]}`)], {
    environment,
    deadlineMs: 60_000,
  })
  const start = async (kind: string, configuration: string) => {
    const file = join(path, `${kind}-server.conf`)
    await writeFile(file, configuration)
    const logFile = join(path, `${kind}.out`)
    return stack.use(
      await startProcess('/usr/bin/python3', [`/usr/bin/swift-${kind}-server`, file], { logFile, environment }),
    )
  }
  const common = (port: number): string =>
    `[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = ${port}\nworkers = 0\nuser = ${userInfo().username}\nswift_dir = ${path}\nlog_level = ERROR\nconn_timeout = 10\nnode_timeout = 30\n`
  for (const kind of kinds) {
    const places = `devices = ${path}/devices\nmount_check = false\nfallocate_reserve = 0\n`
    const app = `[pipeline:main]\npipeline = ${kind}-server\n[app:${kind}-server]\nuse = egg:swift#${kind}\n`
    await start(kind, `${common(ports[kind])}${places}${app}`)
  }
  const gateway = await start('proxy', `${common(proxy)}${proxyPipeline}`)
  for (const port of Object.values(ports)) await waitForHttp(gateway, port, '/recon/version')
  await waitForHttp(gateway, proxy, '/info', join(path, 'proxy.out'))
  const owned = stack.move()
  return {
    endpoint: `http://127.0.0.1:${proxy}`,
    port: proxy,
    keys: { accessKeyId: 'test:tester', secretAccessKey: 'testing' },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const proxyPipeline = `[pipeline:main]
pipeline = catch_errors cache s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
conn_timeout = 10
node_timeout = 30
recoverable_node_timeout = 30
error_suppression_limit = 1000
[filter:catch_errors]
use = egg:swift#catch_errors
# Swift insists on a cache, and goes on without one that does not answer.
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
allow_multipart_uploads = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
`

const makeRings = `
import sys
from swift.common.ring import RingBuilder
for word in sys.argv[2:]:
    kind, port = word.split('=')
    builder = RingBuilder(2, 1, 0)
    builder.add_dev({'region': 1, 'zone': 1, 'weight': 1, 'device': 'd1', 'meta': '',
                     'ip': '127.0.0.1', 'port': int(port), 'replication_ip': '127.0.0.1', 'replication_port': int(port)})
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (sys.argv[1], kind))
`
