import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { withoutSettings, writeRestoredConfiguration } from './configuration.ts'

test('what ALTER SYSTEM said of an owned parameter is taken out, the rest stays', () => {
  const text = "# head\narchive_mode = 'on'\nARCHIVE_MODE='on'\narchive_mode_x = '1'\nwork_mem = '8MB'\n"
  assert.equal(withoutSettings(text, ['archive_mode']), "# head\narchive_mode_x = '1'\nwork_mem = '8MB'\n")
})

test('law L9: the settings win, also where the configuration lay elsewhere or included ours before', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hf-'))
  try {
    await writeRestoredConfiguration(directory, { archive_mode: 'off', restore_command: "it's" })
    const include = "include_if_exists = 'holdfast.conf'\n"
    assert.equal(await readFile(join(directory, 'postgresql.conf'), 'utf8'), include)
    assert.match(await readFile(join(directory, 'holdfast.conf'), 'utf8'), /^restore_command = 'it''s'$/m)
    await writeFile(join(directory, 'postgresql.conf'), `port = 1\n${include}archive_mode = on\n`)
    await writeRestoredConfiguration(directory, { archive_mode: 'off' })
    assert.equal(await readFile(join(directory, 'postgresql.conf'), 'utf8'), `port = 1\narchive_mode = on\n${include}`)
  } finally {
    await rm(directory, { recursive: true })
  }
})
