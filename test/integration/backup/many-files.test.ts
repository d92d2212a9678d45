import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { initializeDataDirectory } from '../../../src/postgres/initialize.ts'
import { createTestDirectory, superuser, superuserPassword, testMajors } from '../../support/postgres.ts'

const program = fileURLToPath(new URL('many-files-program.ts', import.meta.url))
const fileCount = 100_000

test('a data directory of 100,000 files is backed up in less than 400 MB', { timeout: 300_000 }, async (t) => {
  await using directory = await createTestDirectory()
  const dataDirectory = join(directory.path, 'data')
  const [installation = assert.fail()] = await testMajors()
  await initializeDataDirectory(installation, dataDirectory, {
    superuser,
    password: superuserPassword,
    durable: false,
  })
  for (let number = 0; number < fileCount; number++) {
    const path = join(dataDirectory, 'base/5', String(100_000 + number))
    if (number % 50 === 0) await writeFile(path, new Uint8Array(8192))
    else closeSync(openSync(path, 'w'))
  }
  const child = spawn(process.execPath, [program, dataDirectory, join(directory.path, 'repository')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output, [exitCode]] = await Promise.all([text(child.stdout), once(child, 'close')])
  assert.equal(exitCode, 0)
  t.diagnostic(output)
  const [full, incremental] = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { files: number; changedBytes: number; peakMegabytes: number })
  assert.ok(full !== undefined && incremental !== undefined)
  assert.ok(full.files > fileCount, `${full.files} files`)
  assert.equal(incremental.files, full.files)
  assert.ok(incremental.peakMegabytes < 400, `${incremental.peakMegabytes} MB`)
})
