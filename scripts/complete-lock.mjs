/**
 * Completes package-lock.json after `npm install`. npm leaves an optional package of another platform out of the lock
 * file when the registry in use does not have it, and then `npm ci` refuses that same lock file. This adds such packages
 * back, with the platform read off their name so that they are never fetched where they do not belong.
 *
 *   npm install --ignore-scripts && node scripts/complete-lock.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs'

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32']
const processors = {
  arm: 'arm',
  arm64: 'arm64',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'x64',
}

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
let added = 0
for (const entry of Object.values({ ...lock.packages })) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`
    if (lock.packages[key] !== undefined || version.startsWith('npm:')) continue
    const parts = name.split(/[/-]/)
    const os = systems.filter((system) => parts.includes(system))
    const cpu = parts.flatMap((part) => processors[part] ?? [])
    if (os.length !== 1 || cpu.length !== 1)
      throw new Error(`Cannot complete the lock file: no platform in the name ${name}`)
    const libc = parts.some((part) => part.startsWith('musl'))
      ? ['musl']
      : parts.some((part) => part.startsWith('gnu'))
        ? ['glibc']
        : undefined
    lock.packages[key] = { version, cpu, dev: true, ...(libc && { libc }), optional: true, os }
    added += 1
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
process.stdout.write(`${added} packages of other platforms added\n`)
