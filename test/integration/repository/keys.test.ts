import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { createRepository, openRepository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import {
  archiveSampleWal,
  createSampleRepository,
  passphrase,
  scratchStore,
  takeSampleBackup,
} from './sample-repository.ts'

const wrongKey = (error: unknown): boolean => isFault(error, repositoryFaults['repository-wrong-key'])

test('a repository opens with its passphrase, with or without a line break, and with no other', async () => {
  await using scratch = await scratchStore()
  const created = await createSampleRepository(scratch.store)
  for (const text of [passphrase, `${passphrase}\n`, `${passphrase}\r\n`]) {
    const opened = await openRepository(scratch.store, { passphrase: new Secret(text) })
    assert.equal(opened.id, created.id)
    assert.deepEqual(
      opened.keyring.keys.map(({ id, key }) => [id, key.export().toString('hex')]),
      created.keyring.keys.map(({ id, key }) => [id, key.export().toString('hex')]),
    )
  }
  for (const text of ['', `${passphrase} `, passphrase.toUpperCase()]) {
    await assert.rejects(openRepository(scratch.store, { passphrase: new Secret(text) }), wrongKey)
  }
})

test('a repository without any protection is refused', async () => {
  await using scratch = await scratchStore()
  const unprotected = (error: unknown): boolean => isFault(error, repositoryFaults['repository-key-unprotected'])
  await assert.rejects(createRepository(scratch.store, { clock: systemClock }), unprotected)
  await assert.rejects(createRepository(scratch.store, { recipients: [], clock: systemClock }), unprotected)
  await assert.rejects(createRepository(scratch.store, { recipients: ['no key'], clock: systemClock }), unprotected)
  assert.deepEqual(await Array.fromAsync(scratch.store.list('keys/')), [])
})

test('an empty store has no repository, and a second one is not made beside the first', async () => {
  await using scratch = await scratchStore()
  const access = { passphrase: new Secret(passphrase) }
  await assert.rejects(openRepository(scratch.store, access), (error) =>
    isFault(error, repositoryFaults['repository-not-found']),
  )
  const results = await Promise.allSettled(Array.from({ length: 3 }, () => createSampleRepository(scratch.store)))
  const created = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  assert.equal(created.length, 1)
  for (const result of results) {
    if (result.status === 'rejected') assert.ok(isFault(result.reason, repositoryFaults['repository-exists']))
  }
  assert.equal((await openRepository(scratch.store, access)).id, created[0]?.id)
  assert.equal((await Array.fromAsync(scratch.store.list('keys/'))).length, 1)
})

test('a repository that lost its repository.json is not taken for an empty place, and none is made over it', async () => {
  await using scratch = await scratchStore()
  const access = { passphrase: new Secret(passphrase) }
  const repository = await createSampleRepository(scratch.store)
  await takeSampleBackup(repository)
  const description = await scratch.store.read('repository.json')
  await scratch.store.delete('repository.json')
  const occupied = (error: unknown): boolean => isFault(error, repositoryFaults['repository-place-occupied'])
  await assert.rejects(openRepository(scratch.store, access), occupied)
  await assert.rejects(createSampleRepository(scratch.store), occupied)
  assert.equal((await Array.fromAsync(scratch.store.list('keys/'))).length, 1)
  await scratch.store.create('repository.json', description)
  assert.equal((await openRepository(scratch.store, access)).id, repository.id)
})

test('gpg opens the key object, ours and restore.mjs open what gpg writes', async (t) => {
  const gpg = await gpgHome(t)
  if (gpg === undefined) return t.skip('gpg is not installed')
  await using scratch = await scratchStore()
  const repository = await createSampleRepository(scratch.store)
  const [object] = await Array.fromAsync(scratch.store.list('keys/'))
  const json = gpg.run(['--passphrase-fd', '0', '-d', join(scratch.root, object?.key ?? '')], passphrase)
  const key = JSON.parse(json.slice(json.indexOf('{'))) as Record<string, string>
  assert.equal(key['keyId'], repository.keyring.current.id)
  assert.equal(
    Buffer.from(key['key'] ?? '', 'base64').toString('hex'),
    repository.keyring.current.key.export().toString('hex'),
  )

  // Giving another passphrase by hand is adding an object. gpg compresses and chooses its own way of hashing.
  const added = join(scratch.root, 'keys', 'second-passphrase.asc')
  await writeFile(join(gpg.home, 'key.json'), json)
  gpg.run(['--passphrase-fd', '0', '--armor', '-o', added, '-c', join(gpg.home, 'key.json')], 'second')
  const opened = await openRepository(scratch.store, { passphrase: new Secret('second') })
  assert.equal(opened.keyring.current.id, repository.keyring.current.id)
  await archiveSampleWal(repository)
  await takeSampleBackup(repository)
  assertRestores(scratch.root, gpg.home, [], 'second')
})

test('a repository made for an OpenPGP key opens with the private key and, by restore.mjs, through gpg', async (t) => {
  const gpg = await gpgHome(t)
  if (gpg === undefined) return t.skip('gpg is not installed')
  gpg.run(['--passphrase', '', '--quick-generate-key', 'backup@example.org', 'future-default', 'default', 'never'])
  await using scratch = await scratchStore()
  const recipients = [gpg.run(['--armor', '--export', 'backup@example.org'])]
  const repository = await createRepository(scratch.store, { recipients, clock: systemClock })
  const armored = new Secret(gpg.run(['--armor', '--export-secret-keys', 'backup@example.org']))
  const opened = await openRepository(scratch.store, { privateKey: { armored } })
  assert.equal(opened.keyring.current.id, repository.keyring.current.id)
  await assert.rejects(openRepository(scratch.store, { passphrase: new Secret('') }), wrongKey)
  await assert.rejects(openRepository(scratch.store, { privateKey: { armored: new Secret('no key') } }), wrongKey)
  await archiveSampleWal(repository)
  await takeSampleBackup(repository)
  assertRestores(scratch.root, gpg.home, ['--gpg'], '')
})

interface Gpg {
  readonly home: string
  run(args: readonly string[], input?: string): string
}

async function gpgHome(t: TestContext): Promise<Gpg | undefined> {
  if (spawnSync('gpg', ['--version']).status !== 0) return undefined
  const home = await mkdtemp(join(tmpdir(), 'hf-gpg-'))
  await chmod(home, 0o700)
  const env = { ...process.env, GNUPGHOME: home }
  t.after(async () => {
    spawnSync('gpgconf', ['--kill', 'all'], { env })
    await rm(home, { recursive: true, force: true })
  })
  const common = ['--batch', '--quiet', '--pinentry-mode', 'loopback']
  return {
    home,
    run: (args, input = '') => {
      const { status, stdout, stderr } = spawnSync('gpg', [...common, ...args], { env, input, encoding: 'utf8' })
      assert.equal(status, 0, stderr)
      return stdout
    },
  }
}

function assertRestores(repository: string, gnupgHome: string, access: readonly string[], input: string): void {
  const target = join(gnupgHome, 'restored')
  const args = [join(repository, 'restore.mjs'), '--backup', 'latest', '--target', target, ...access]
  const env = { PATH: process.env['PATH'], GNUPGHOME: gnupgHome, HOME: gnupgHome }
  const run = spawnSync(process.execPath, args, { env, input, encoding: 'utf8' })
  assert.equal(run.status, 0, run.stdout + run.stderr)
  assert.match(run.stdout, /Restored and verified/)
}
