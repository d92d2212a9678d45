import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskFault, writeFileDurably } from './durable-file.ts'
import { isFault } from './fault.ts'
import { stdFaults } from './faults.ts'

test('a file is replaced whole, private by default, and nothing is left beside it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'durable-'))
  try {
    const path = join(directory, 'file')
    await writeFileDurably(path, 'old')
    await writeFileDurably(path, 'new')
    assert.equal(await readFile(path, 'utf8'), 'new')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(directory), ['file'])
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a failed write leaves the old content and no temporary file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'durable-'))
  try {
    const path = join(directory, 'missing', 'file')
    await assert.rejects(writeFileDurably(path, 'new'), { code: 'ENOENT' })
    assert.deepEqual(await readdir(directory), [])
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a full disk is a fault that names the file, any other error stays what it is', () => {
  const full = diskFault(Object.assign(new Error('no space'), { code: 'ENOSPC' }), '/srv/x')
  assert.ok(isFault(full, stdFaults['disk-full']))
  assert.match(full.message, /\/srv\/x/)
  const other = Object.assign(new Error('denied'), { code: 'EACCES' })
  assert.equal(diskFault(other, '/srv/x'), other)
})
