import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { backupFaults } from './faults.ts'
import { compareInWalk } from './core/walk-order.ts'
import { listDataDirectory, measureDataDirectory } from './list-data-directory.ts'

const version = 'PG_15_202209061'

async function scratch(t: { after(work: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-listing-'))
  t.after(() => rm(directory, { recursive: true }))
  return directory
}

async function put(root: string, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), path)
  }
}

test('lists a data directory with its tablespaces and a linked pg_wal', async (t) => {
  const root = await scratch(t)
  const data = join(root, 'data')
  await put(data, 'PG_VERSION', 'postmaster.pid', 'global/pg_control', 'global/1262', 'pg_notify/0000')
  await put(data, 'base/5/1', 'base/5/2', 'base/5/2_init', 'base/5/t4_3', 'base/pgsql_tmp/pgsql_tmp1.0')
  await put(
    root,
    `space/${version}/5/9`,
    'space/PG_14_202107181/5/9',
    'space/notes',
    'wal/0001',
    'wal/archive_status/1.done',
  )
  await mkdir(join(data, 'pg_tblspc'))
  await symlink(join(root, 'space'), join(data, 'pg_tblspc/16400'))
  await symlink(join(root, 'wal'), join(data, 'pg_wal'))
  await writeFile(Buffer.concat([Buffer.from(`${data}/odd`), Buffer.from([0xff])]), '')
  await symlink('/etc/hostname', join(data, 'linked.conf'))

  const place = { dataDirectory: data, tablespaceDirectory: version }
  const entries = (await Array.fromAsync(listDataDirectory(place))).flat()

  const files = entries.filter((entry) => entry.kind === 'file')
  const directories = entries.filter((entry) => entry.kind === 'directory')
  assert.deepEqual(
    files.map((file) => file.path),
    ['PG_VERSION', 'base/5/1', 'base/5/2_init', 'global/1262', `pg_tblspc/16400/${version}/5/9`],
  )
  assert.deepEqual(
    directories.map((directory) => directory.path),
    ['base', 'base/5', 'global', 'pg_notify', 'pg_tblspc', 'pg_tblspc/16400', `pg_tblspc/16400/${version}`].concat([
      `pg_tblspc/16400/${version}/5`,
      'pg_wal',
      'pg_wal/archive_status',
    ]),
  )
  const skipped = entries.filter((entry) => entry.kind === 'skipped')
  assert.deepEqual(
    skipped.map(({ path }) => path),
    ['linked.conf', 'odd\uFFFD'],
  )
  const linked = directories.flatMap(({ linkedTablespace }) => linkedTablespace ?? [])
  assert.deepEqual(linked, [16400])
  assert.equal(files[0]?.sizeBytes, 'PG_VERSION'.length)
  const paths = entries.map(({ path }) => path)
  assert.deepEqual(paths, paths.toSorted(compareInWalk))
  assert.deepEqual(await measureDataDirectory(place), {
    files: files.length,
    bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  })
})

test('stops when it is told to', async (t) => {
  const root = await scratch(t)
  await put(root, 'PG_VERSION')
  const signal = AbortSignal.abort(new Error('enough'))
  const place = { dataDirectory: root, tablespaceDirectory: version }
  await assert.rejects(measureDataDirectory(place, { signal }), /enough/)
})

test('refuses a tablespace whose place is gone', async (t) => {
  const root = await scratch(t)
  await put(root, 'PG_VERSION')
  await mkdir(join(root, 'pg_tblspc'))
  await symlink(join(root, 'unmounted'), join(root, 'pg_tblspc/16400'))
  const place = { dataDirectory: root, tablespaceDirectory: version }
  await assert.rejects(measureDataDirectory(place), { kind: backupFaults['backup-file-missing'] })
})

test('a data directory that is not there, or empty, is not one without files', async (t) => {
  const root = await scratch(t)
  for (const dataDirectory of [root, join(root, 'gone')]) {
    const place = { dataDirectory, tablespaceDirectory: version }
    await assert.rejects(measureDataDirectory(place), { kind: backupFaults['backup-file-missing'] })
  }
})
