import assert from 'node:assert/strict'
import { spawn, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import {
  archiveSampleWal,
  cluster,
  createSampleRepository,
  passphrase,
  sampleDirectories,
  sampleFiles,
  sampleHistory,
  sampleLabel,
  sampleSegment,
  sampleTail,
  segmentName,
  scratchStore,
  takeSampleBackup,
  walSegmentBytes,
  type ScratchStore,
} from './sample-repository.ts'

/** restore.mjs as a stranger would run it: a copy of the repository, an empty home, no packages, no network needed. */
let scratch: ScratchStore
let home: string
let backup: string

before(async () => {
  scratch = await scratchStore()
  home = await mkdtemp(join(tmpdir(), 'holdfast-restore-'))
  const repository = await createSampleRepository(scratch.store)
  await archiveSampleWal(repository)
  backup = (await takeSampleBackup(repository)).facts.backup
  await writeFile(join(home, 'passphrase'), `${passphrase}\n`)
})
after(async () => {
  await scratch[Symbol.asyncDispose]()
  await rm(home, { recursive: true, force: true })
})

async function restore(
  args: readonly string[],
  options: { readonly repository?: string; readonly input?: string; readonly env?: Record<string, string> } = {},
): Promise<{ readonly status: number | null; readonly output: string }> {
  const where = options.repository ?? scratch.root
  const spawnOptions: SpawnOptions = { cwd: home, env: { HOME: home, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] }
  const child = spawn(process.execPath, [join(where, 'restore.mjs'), ...args], spawnOptions)
  child.stdin?.on('error', () => undefined).end(options.input ?? '')
  assert.ok(child.stdout && child.stderr)
  const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { status: status as number | null, output: out + err }
}

async function assertRestored(target: string): Promise<void> {
  for (const [path, content] of sampleFiles) {
    const found = await readFile(join(target, path))
    assert.equal(Buffer.compare(found, content), 0, `${path} differs`)
  }
  for (const directory of sampleDirectories) assert.ok((await stat(join(target, directory))).isDirectory())
  assert.equal(await readFile(join(target, 'backup_label'), 'utf8'), sampleLabel)
  assert.equal((await stat(target)).mode & 0o777, 0o700)
}

test('it lists the backups without a passphrase', async () => {
  const { status, output } = await restore(['--list'])
  assert.equal(status, 0)
  assert.match(output, new RegExp(`^main {2}${backup} {2}ended 2026-01-02T03:04:06.000Z {2}PostgreSQL 180004`, 'm'))
})

test('a damaged commit is named in the list, beside the backups that are good', async () => {
  const copy = join(home, 'damaged-list')
  await cp(scratch.root, copy, { recursive: true })
  const other = '20200101T000000Z-00000000'
  await cp(join(copy, cluster, 'backups', backup), join(copy, cluster, 'backups', other), { recursive: true })
  const { status, output } = await restore(['--list'], { repository: copy })
  assert.equal(status, 1)
  assert.match(output, new RegExp(`main {2}${other} {2}Cannot use object main/backups/${other}/commit.json`))
  assert.match(output, new RegExp(`main {2}${backup} {2}ended`))
})

test('it restores the data directory and the WAL, byte for byte', async () => {
  const target = join(home, 'byte-for-byte')
  const { status, output } = await restore([
    '--backup',
    'latest',
    '--target',
    target,
    '--passphrase-file',
    'passphrase',
  ])
  assert.equal(status, 0, output)
  await assertRestored(target)
  const wal = `${target}-wal`
  assert.deepEqual(await readdir(wal), ['000000010000000000000003', '000000010000000000000004', '00000002.history'])
  assert.equal(Buffer.compare(await readFile(join(wal, segmentName)), sampleSegment), 0)
  const padded = Buffer.alloc(walSegmentBytes)
  padded.set(sampleTail)
  assert.equal(Buffer.compare(await readFile(join(wal, '000000010000000000000004')), padded), 0)
  assert.equal(Buffer.compare(await readFile(join(wal, '00000002.history')), sampleHistory), 0)
  assert.match(output, /timeline 1: from 0\/300000 to 0\/404E20/)
  assert.match(output, /restore_command = 'cp "/)
})

test('it reads the passphrase from standard input, and takes a backup by its id', async () => {
  const target = join(home, 'by-id')
  const { status, output } = await restore(['--backup', backup, '--target', target, '--cluster', cluster], {
    input: `${passphrase}\n`,
  })
  assert.equal(status, 0, output)
  await assertRestored(target)
})

test('a wrong passphrase, an unknown backup and a full directory are refused, before anything is written', async () => {
  const target = join(home, 'refused')
  const wrong = await restore(['--backup', 'latest', '--target', target], { input: 'wrong' })
  assert.match(wrong.output, /wrong passphrase/)
  const unknown = await restore(['--backup', '20260102T030405Z-00000000', '--target', target], { input: passphrase })
  assert.match(unknown.output, /Cannot find backup/)
  await assert.rejects(stat(target))
  await mkdir(target)
  await writeFile(join(target, 'precious'), 'data')
  const full = await restore(['--backup', 'latest', '--target', target], { input: passphrase })
  assert.match(full.output, /not empty/)
  for (const { status } of [wrong, unknown, full]) assert.equal(status, 1)
  assert.deepEqual(await readdir(target), ['precious'])
})

test('every damaged or missing object that a restore needs is named', async () => {
  const objects = (await Array.fromAsync(scratch.store.list(`${cluster}/`)))
    .map(({ key }) => key)
    .filter((key) => !key.endsWith('cluster.json'))
  assert.equal(objects.length, 8)
  for (const [index, key] of objects.entries()) {
    for (const kind of ['altered', 'truncated', 'missing'] as const) {
      // Tail parts and segments that are missing leave a gap; whether that matters is what the WAL check decides.
      if (kind === 'missing' && /\/(tail|history|wal)/.test(key) && !key.endsWith(segmentName)) continue
      const copy = join(home, `copy-${index}-${kind}`)
      await cp(scratch.root, copy, { recursive: true })
      await damage(join(copy, key), kind)
      const { status, output } = await restore(['--backup', 'latest', '--target', `${copy}-data`], {
        repository: copy,
        input: passphrase,
      })
      assert.equal(status, 1, `${key} ${kind}`)
      const expected =
        kind !== 'missing'
          ? `Cannot use object ${key}`
          : key.endsWith('commit.json')
            ? 'Cannot find backup latest'
            : key.endsWith(segmentName)
              ? 'is not complete in the repository'
              : `Cannot use object ${key}: it is missing`
      assert.ok(output.includes(expected), `${key} ${kind}: ${output}`)
      await assert.rejects(stat(join(`${copy}-data`, 'backup_label')), 'nothing that looks finished is left')
      await rm(copy, { recursive: true })
    }
  }
})

async function damage(path: string, kind: 'altered' | 'truncated' | 'missing'): Promise<void> {
  if (kind === 'missing') return rm(path)
  const bytes = await readFile(path)
  if (kind === 'truncated') return writeFile(path, bytes.subarray(0, bytes.length - 7))
  const middle = Math.floor(bytes.length / 2)
  bytes[middle] = (bytes[middle] ?? 0) ^ 1
  return writeFile(path, bytes)
}

test('it needs nothing but Node.js, and its types are right although no build looks at it', async () => {
  const program = new URL('../../../src/repository/restore-kit/restore.mjs', import.meta.url).pathname
  const imported = [...(await readFile(program, 'utf8')).matchAll(/^import .* from '(.*)'$|import\('(.*?)'\)/gm)]
  assert.ok(imported.length > 5)
  for (const [line, from = '', type = ''] of imported) assert.match(from || type, /^node:/, line)
  const root = new URL('../../../', import.meta.url).pathname
  const options = '--noEmit --allowJs --checkJs --strict --target esnext --module nodenext --types node --skipLibCheck'
  const args = [join(root, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', ...options.split(' '), program]
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  assert.deepEqual([status, output], [0, ''])
})
