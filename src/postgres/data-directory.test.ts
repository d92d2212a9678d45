import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { isFault } from '../std/fault.ts'
import { Secret } from '../std/secret.ts'
import type { ServerSettings } from './core/server-settings.ts'
import {
  dataDirectoryMajor,
  writeHostBasedAuthentication,
  writeServerConfiguration,
  writeSignalFiles,
} from './data-directory.ts'
import { postgresFaults } from './faults.ts'
import { writePassFile } from './pass-file.ts'

const settings: ServerSettings = {
  port: 5432,
  listenAddresses: [],
  socketDirectory: '/run/x',
  clusterName: 'a',
  memberCount: 1,
  restartAfterCrash: false,
}
let data: string

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'hf-'))
})
afterEach(() => rm(data, { recursive: true, force: true }))

test("the include line comes last, once, whatever stood in the user's file", async () => {
  const path = join(data, 'postgresql.conf')
  await writeFile(path, "include_if_exists = 'holdfast.conf'\nwork_mem = 1MB\n\n\n")
  for (let times = 0; times < 2; times += 1) {
    await writeServerConfiguration(data, settings)
    assert.equal(await readFile(path, 'utf8'), "work_mem = 1MB\ninclude_if_exists = 'holdfast.conf'\n")
  }
})

test('a refused parameter changes no file', async () => {
  await writeFile(join(data, 'postgresql.conf'), '')
  await assert.rejects(writeServerConfiguration(data, { ...settings, parameters: { fsync: false } }), (error) => {
    assert.ok(isFault(error, postgresFaults['postgres-setting-refused']))
    assert.match(error.message, /fsync is set by Holdfast/)
    return true
  })
  assert.deepEqual(await readdir(data), ['postgresql.conf'])
})

test('of the signal files exactly the one of the role is there', async () => {
  const signals = async (): Promise<string[]> => (await readdir(data)).filter((name) => name.endsWith('.signal'))
  await writeSignalFiles(data, 'standby')
  assert.deepEqual(await signals(), ['standby.signal'])
  await writeSignalFiles(data, 'recovery')
  assert.deepEqual(await signals(), ['recovery.signal'])
  await writeSignalFiles(data, 'primary')
  assert.deepEqual(await signals(), [])
})

test('a line break in a name never becomes a line of pg_hba.conf', async () => {
  const rules = { superuser: 'postgres', replicationUser: 'r', memberAddresses: ['a\nhost all all all trust'] }
  await assert.rejects(writeHostBasedAuthentication(data, rules), (error) =>
    isFault(error, postgresFaults['postgres-setting-refused']),
  )
  assert.deepEqual(await readdir(data), [])
})

test('a password file is for us alone, and refuses what would begin a second line', async () => {
  const path = join(data, 'pgpass')
  const entry = { host: 'h', port: 1, database: 'd', user: 'u' } as const
  await writePassFile(path, [{ entry, password: new Secret('p') }])
  assert.equal(await readFile(path, 'utf8'), 'h:1:d:u:p\n')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  await assert.rejects(writePassFile(path, [{ entry, password: new Secret('p\nx') }]), (error) =>
    isFault(error, postgresFaults['postgres-setting-refused']),
  )
})

test('the release of a directory is read, and what is no data directory is named', async () => {
  await writeFile(join(data, 'PG_VERSION'), '17\n')
  assert.equal(await dataDirectoryMajor(data), 17)
  await assert.rejects(dataDirectoryMajor(join(data, 'none')), (error) =>
    isFault(error, postgresFaults['postgres-no-data-directory']),
  )
})
