import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'

/** What the tests use beyond npm, as Debian packages: [package, a file by which it is known to be there]. */
const packages: readonly (readonly [string, string])[] = [
  ['postgresql-15', '/usr/lib/postgresql/15/bin/postgres'],
  ['gnupg', '/usr/bin/gpg'],
  ['openssl', '/usr/bin/openssl'],
  // S3 as it should be: Ceph's gateway with a monitor and an OSD in memory.
  ['ceph-mon', '/usr/bin/ceph-mon'],
  ['ceph-osd', '/usr/bin/ceph-osd'],
  ['ceph-common', '/usr/bin/ceph'],
  ['ceph-base', '/usr/bin/monmaptool'],
  ['radosgw', '/usr/bin/radosgw'],
  // S3 without conditional create.
  ['swift-proxy', '/usr/bin/swift-proxy-server'],
  ['swift-account', '/usr/bin/swift-account-server'],
  ['swift-container', '/usr/bin/swift-container-server'],
  ['swift-object', '/usr/bin/swift-object-server'],
  // WebDAV, honest and careless.
  ['apache2-bin', '/usr/sbin/apache2'],
  ['rclone', '/usr/bin/rclone'],
]

/**
 * Installs the servers and tools that some tests need, when this is Debian and we are root; elsewhere the tests that miss
 * one say so themselves. No server is started, and none is left enabled.
 */
export function installServers(): void {
  const missing = packages.filter(([, file]) => !existsSync(file)).map(([name]) => name)
  if (missing.length === 0) return
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    process.stdout.write(
      `Not installed here (needs root on Debian), tests that need them are skipped: ${missing.join(', ')}\n`,
    )
    return
  }
  process.stdout.write(`Installing ${missing.join(', ')} …\n`)
  const policy = '/usr/sbin/policy-rc.d'
  // Debian starts a server when it is installed, unless this file says no.
  if (!existsSync(policy)) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...rest: string[]): boolean =>
    spawnSync('apt-get', ['-q', ...rest], { env: environment, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
  if (!apt('update') || !apt('install', '-y', '--no-install-recommends', ...missing)) {
    process.stderr.write('Cannot install them; tests that need them are skipped, and fail when CI=true\n')
  }
}
