import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EpochMs } from '../../std/clock.ts'
import { isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { tablespaceMap } from './lay-out.ts'
import { requireRoom, roomFor } from './room.ts'

test('a restore that cannot fit is refused before it begins', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hf-'))
  try {
    const target = { path: join(root, 'data'), tablespaces: new Map<number, string>() }
    const file = {
      kind: 'whole',
      path: 'a',
      sizeBytes: 2 ** 60,
      mode: 0o600,
      modifiedAt: 0 as EpochMs,
      parts: [],
    } as const
    const rooms = await roomFor(target, [file])
    assert.deepEqual([rooms[0]?.directory, rooms[0]?.neededBytes], [target.path, 2 ** 60])
    assert.throws(
      () => requireRoom(rooms),
      (error) => isFault(error, stdFaults['disk-full']),
    )
    assert.deepEqual(await readdir(root), [])
  } finally {
    await rm(root, { recursive: true })
  }
})

test('the map of tablespaces has the new places, escaped as PostgreSQL reads them', () => {
  const tablespaces = new Map([[16384, String.raw`/new/a\b`]])
  const manifest = { tablespaces: [{ oid: 16384, location: '/old' }] }
  assert.equal(tablespaceMap({ path: '/data', tablespaces }, manifest), '16384 /new/a\\\\b\n')
})
