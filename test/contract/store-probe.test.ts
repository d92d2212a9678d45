import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { createTestDirectory } from '../support/postgres.ts'
import { probeAddress, soundStore } from '../stores/store-probe.ts'

test('the probe tells what a directory can do, and leaves it as it was', async () => {
  await using directory = await createTestDirectory()
  const { code, found, document } = await probeAddress(directory.path)
  assert.deepEqual(found, soundStore)
  assert.deepEqual([code, document.verdict, document.left], [0, 'ok', []])
  assert.deepEqual(await readdir(directory.path), [])
})
