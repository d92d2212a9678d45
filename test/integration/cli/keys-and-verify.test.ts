import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { stringify } from 'yaml'
import { createRepository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { runHoldfast, type CliOutcome } from '../../support/cli-cluster.ts'
import { openGpg, type Gpg } from '../../support/gpg.ts'
import { archiveSampleWal, takeSampleBackup } from '../repository/sample-repository.ts'

// One repository with a copy, operated by the commands alone; no server is needed.
const secrets = { old: 'the old passphrase of the test', new: 'the new passphrase of the test' }
let directory: string
let gpg: Gpg | undefined
const path = (...parts: readonly string[]): string => join(directory, ...parts)

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hf-keys-'))
  await mkdir(path('secrets'), { mode: 0o700 })
  for (const [name, text] of Object.entries(secrets))
    await writeFile(path('secrets', name), `${text}\n`, { mode: 0o600 })
  gpg = await openGpg(path('gnupg'))
  const store = await openFileSystemStore({ root: path('local'), createRoot: true, clock: systemClock })
  const repository = await createRepository(store, { passphrase: new Secret(secrets.old), clock: systemClock })
  await archiveSampleWal(repository)
  await takeSampleBackup(repository)
  await cp(path('local'), path('copy'), { recursive: true })
  await configure('old')
})
after(async () => {
  gpg?.[Symbol.dispose]()
  await rm(directory, { recursive: true, force: true })
})

async function configure(secret: keyof typeof secrets, more: object = {}): Promise<void> {
  const passphraseFile = path('secrets', secret)
  const repository = (name: string): object => ({ name, type: 'filesystem', path: path(name), passphraseFile, ...more })
  const config = {
    cluster: 'main',
    node: { name: 'n1', address: '127.0.0.1', dataDirectory: path('data'), stateDirectory: path('state') },
    postgres: { superuser: { passwordFile: passphraseFile }, replication: { passwordFile: passphraseFile } },
    coordinator: { type: 'embedded', file: path('coordinator.db') },
    repositories: [repository('local'), repository('copy')],
  }
  await writeFile(path('holdfast.yaml'), stringify(config))
}

async function holdfast(...args: readonly string[]): Promise<CliOutcome> {
  const outcome = await runHoldfast([...args, '--config', path('holdfast.yaml')], directory)
  // Law L10: whatever happens, no secret is printed.
  for (const text of Object.values(secrets)) assert.ok(!`${outcome.stdout}${outcome.stderr}`.includes(text))
  return outcome
}

const keyFiles = async (place: string): Promise<readonly string[]> => (await readdir(path(place, 'keys'))).toSorted()

test('keys are tested, recorded, and the record is what status and backups show', async () => {
  const tested = await holdfast('keys', 'test')
  assert.equal(tested.code, 0, tested.stderr)
  assert.match(tested.stdout, /passphraseFile .*opens the data key, and with them main\/backups\/\S+\/manifest/)
  await writeFile(path('secrets', 'wrong'), 'wrong\n', { mode: 0o600 })
  await configure('wrong' as 'old')
  const wrong = await holdfast('keys', 'test', '--json')
  assert.equal(wrong.code, 5, wrong.stdout)
  const [first] = JSON.parse(wrong.stdout) as {
    passed: boolean
    proof: string
    secrets: { error: { code: string } }[]
  }[]
  assert.deepEqual([first?.passed, first?.secrets[0]?.error.code], [false, 'repository-wrong-key'])
  assert.match(first?.proof ?? '', /-local-keys-bad-/)
  await rm(path('secrets', 'wrong'))
  const lost = await holdfast('keys', 'test')
  assert.equal(lost.code, 2, lost.stdout)
  assert.match(lost.stdout, /does not exist/)
  await configure('old')
  const shown = await holdfast('backups')
  assert.match(shown.stdout, /last proven: nothing yet .* · keys NOT good/)
})

test('verify proves, records, and finds damage with exit code 8', async () => {
  const good = await holdfast('verify', '--level', '1')
  assert.equal(good.code, 0, good.stdout + good.stderr)
  assert.match(good.stdout, /passed, proven at level 1/)
  const shown = await holdfast('backups')
  assert.match(shown.stdout, /last proven: level 1 [\d.]+ m?s ago/)
  const [backup = ''] = await readdir(path('copy', 'main', 'packs'))
  const pack = path('copy', 'main', 'packs', backup, '000000')
  const bytes = await readFile(pack)
  await writeFile(pack, Buffer.concat([bytes.subarray(0, 900), Buffer.from('x'), bytes.subarray(901)]))
  const bad = await holdfast('verify', '--level', '1', '--repository', 'copy', '--json')
  assert.equal(bad.code, 8, bad.stdout)
  const [proof] = JSON.parse(bad.stdout) as { proven: number; proof: string; findings: { object: string }[] }[]
  assert.deepEqual([proof?.proven, proof?.findings[0]?.object], [0, `main/packs/${backup}/000000`])
  assert.ok((await readdir(path('copy', 'main', 'proofs'))).includes(`${proof?.proof}.json`))
  await writeFile(pack, bytes)
  const none = await holdfast('verify', '20200101T000000Z-00000000')
  assert.equal(none.code, 4)
})

test('a passphrase is rotated with a copy, by standard input and credentials, and gpg opens every object', async (t) => {
  if (gpg === undefined) return t.skip('gpg is not installed')
  const added = await holdfast('keys', 'rotate', '--passphrase-file', path('secrets', 'new'), '--name', 'second')
  assert.equal(added.code, 0, added.stderr)
  assert.match(added.stdout, /holdfast keys remove first/)
  assert.deepEqual(await keyFiles('copy'), await keyFiles('local'))
  const early = await holdfast('keys', 'remove', 'first')
  assert.equal(early.code, 5, early.stdout)
  gpg.run(['--passphrase', '', '--quick-generate-key', 'escrow@example.org', 'future-default', 'default', 'never'])
  await writeFile(path('escrow.asc'), gpg.run(['--armor', '--export', 'escrow@example.org']))
  const escrow = await holdfast('keys', 'add', '--recipient', path('escrow.asc'), '--name', 'escrow')
  assert.equal(escrow.code, 0, escrow.stderr)
  await configure('new')
  const uncovered = await holdfast('keys', 'rotate', '--data-key')
  assert.equal(uncovered.code, 5, uncovered.stdout)
  assert.equal((await holdfast('keys', 'remove', 'first')).code, 0)
  await configure('new', { recipientFiles: [path('escrow.asc')] })
  const rotated = await holdfast('keys', 'rotate', '--data-key')
  assert.equal(rotated.code, 0, rotated.stderr)
  const files = await keyFiles('local')
  assert.deepEqual([files.length, await keyFiles('copy')], [4, files])
  for (const file of files) {
    const key = path('local', 'keys', file)
    const args = file.includes('escrow') ? ['-d', key] : ['--passphrase-fd', '0', '-d', key]
    const json = gpg.run(args, secrets.new)
    assert.equal((JSON.parse(json.slice(json.indexOf('{'))) as { keyId: string }).keyId, file.slice(0, 32))
    if (!file.includes('escrow')) assert.ok(!gpg.succeeds(['--passphrase-fd', '0', '-d', key], secrets.old))
  }
  assert.equal((await holdfast('keys', 'test')).code, 0)
  assert.equal((await holdfast('verify', '--level', '1')).code, 0)
})

test('restore.mjs restores with either key, also past an object that is none', async (t) => {
  if (gpg === undefined) return t.skip('gpg is not installed')
  await writeFile(path('local', 'keys', '0-damaged.asc'), 'no key at all')
  const restore = (target: string, args: readonly string[], input: string): void => {
    const run = spawnSync(
      process.execPath,
      [path('local', 'restore.mjs'), '--backup', 'latest', '--target', path(target), ...args],
      { env: { PATH: process.env['PATH'], GNUPGHOME: gpg?.home, HOME: directory }, input, encoding: 'utf8' },
    )
    assert.equal(run.status, 0, run.stdout + run.stderr)
  }
  restore('by-passphrase', [], secrets.new)
  restore('by-gpg', ['--gpg'], '')
  const listed = await holdfast('keys', 'list')
  assert.equal(listed.code, 8, listed.stdout)
  assert.match(listed.stdout, /0-damaged .*damaged: it is not an OpenPGP message/)
  assert.equal((await holdfast('keys', 'remove', '0-damaged')).code, 0)
  const clean = await holdfast('keys', 'list')
  assert.equal(clean.code, 0, clean.stdout)
  assert.match(clean.stdout, /second +passphrase +[0-9a-f]{32} +current/)
})

test('bad input is refused with what to do', async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['keys', 'add'], 2, /either --passphrase-file or --recipient/],
    [['keys', 'add', '--passphrase-file', 'credential:x'], 2, /no \$CREDENTIALS_DIRECTORY/],
    [['keys', 'add', '--passphrase-file', path('nowhere')], 2, /does not exist/],
    [['keys', 'add', '--recipient', path('secrets', 'new')], 2, /Cannot encrypt to a recipient/],
    [['keys', 'add', '--passphrase-file', path('secrets', 'old'), '--name', 'first'], 2, /`first` is reserved/],
    [['keys', 'remove', 'nobody'], 4, /has no passphrase or recipient of this name/],
    [['keys', 'rotate'], 2, /--passphrase-file, --data-key, or both/],
    [['verify', '--level', '9'], 2, /a level from 0/],
  ]
  for (const [args, code, message] of cases) {
    const outcome = await holdfast(...args)
    assert.deepEqual([outcome.code, message.test(outcome.stderr)], [code, true], `${args.join(' ')}: ${outcome.stderr}`)
  }
})

test('every command of the guide to keys does what it says', async (t) => {
  if (gpg === undefined) return t.skip('gpg is not installed')
  const home = path('guide')
  await mkdir(join(home, 'secrets'), { recursive: true, mode: 0o700 })
  await writeFile(join(home, 'secrets', 'repository'), `${secrets.old}\n`, { mode: 0o600 })
  const store = await openFileSystemStore({ root: join(home, 'repository'), createRoot: true, clock: systemClock })
  const repository = await createRepository(store, { passphrase: new Secret(secrets.old), clock: systemClock })
  await archiveSampleWal(repository)
  await takeSampleBackup(repository)
  const passphraseFile = join(home, 'secrets', 'repository')
  const config = {
    cluster: 'main',
    node: { name: 'n1', address: '127.0.0.1', dataDirectory: join(home, 'data'), stateDirectory: join(home, 'state') },
    postgres: { superuser: { passwordFile: passphraseFile }, replication: { passwordFile: passphraseFile } },
    coordinator: { type: 'embedded', file: join(home, 'coordinator.db') },
    repositories: [{ name: 'local', type: 'filesystem', path: join(home, 'repository'), passphraseFile }],
  }
  await writeFile(join(home, 'n1.yaml'), stringify(config))
  const guide = await readFile(new URL('../../../docs/guide/keys.md', import.meta.url), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  assert.equal(blocks.length, 5)
  const gnupg = join(home, 'gnupg')
  using _gpg = await openGpg(gnupg)
  const program = new URL('../../../src/main.ts', import.meta.url).pathname
  const script = ['set -e', 'umask 077', `holdfast() { '${process.execPath}' '${program}' "$@"; }`, ...blocks].join(
    '\n',
  )
  const run = spawnSync('bash', ['-c', script], {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, GNUPGHOME: gnupg },
    encoding: 'utf8',
  })
  assert.equal(run.status, 0, run.stdout + run.stderr)
  assert.match(run.stdout, /There is a new data key: [0-9a-f]{32}, in 2 key objects/)
})

test('law L10: none of it left a secret in a file that is not meant to hold it', async () => {
  let files = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /\/(secrets|gnupg)(\/|$)/.test(entry.parentPath)) continue
    const content = await readFile(join(entry.parentPath, entry.name))
    for (const text of Object.values(secrets)) assert.ok(!content.includes(text), `${entry.parentPath}/${entry.name}`)
    files += 1
  }
  assert.ok(files > 50)
})
