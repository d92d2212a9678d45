import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createChecksumKernel } from './checksum-kernel.ts'
import { checksumPage, pageBytes } from './checksum-page.ts'
import { readPart, recordPages } from './read-part.ts'

function scratchFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-read-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return join(directory, '16384')
}

function relation(pages: number, firstBlock = 0): Buffer {
  const bytes = Buffer.alloc(pages * pageBytes, 7)
  for (let index = 0; index < pages; index++) {
    const page = bytes.subarray(index * pageBytes, (index + 1) * pageBytes)
    page.writeUInt32LE(index, 20)
    page.writeUInt16LE(checksumPage(page, firstBlock + index), 8)
  }
  return bytes
}

async function read(
  fullPath: string,
  range: { kind?: 'page' | 'whole'; offset?: number; lengthBytes: number; firstBlock?: number | undefined },
  whileWaiting: () => void = () => {},
) {
  const records: Buffer[] = []
  const outcome = await readPart(
    { file: 0, kind: 'page', offset: 0, firstBlock: undefined, ...range, fullPath },
    createChecksumKernel(recordPages),
    { wait: async () => whileWaiting(), waitsLeft: 10 },
    async (bytes) => void records.push(Buffer.from(bytes)),
  )
  return { outcome, records }
}

const clean = { suspects: [], healed: 0 }

test('reads a range in records of 256 KiB', async (t) => {
  const path = scratchFile(t)
  const bytes = relation(100)
  writeFileSync(path, bytes)
  const { outcome, records } = await read(path, { offset: 10 * pageBytes, lengthBytes: 80 * pageBytes, firstBlock: 0 })
  assert.deepEqual(outcome, { kind: 'read', lengthBytes: 80 * pageBytes, ...clean })
  assert.deepEqual(
    records.map((record) => record.length / pageBytes),
    [32, 32, 16],
  )
  assert.ok(Buffer.concat(records).equals(bytes.subarray(10 * pageBytes, 90 * pageBytes)))
})

test('pages of a later segment file are verified as the blocks they are', async (t) => {
  const path = scratchFile(t)
  writeFileSync(path, relation(2, 131072))
  assert.deepEqual((await read(path, { lengthBytes: 2 * pageBytes, firstBlock: 131072 })).outcome, {
    kind: 'read',
    lengthBytes: 2 * pageBytes,
    ...clean,
  })
})

test('reads no further than asked for when the file grows, and gives whole pages when it shrinks', async (t) => {
  const path = scratchFile(t)
  writeFileSync(path, relation(3))
  assert.equal((await read(path, { lengthBytes: 2 * pageBytes, firstBlock: 0 })).records[0]?.length, 2 * pageBytes)
  truncateSync(path, pageBytes + 100)
  const { outcome, records } = await read(path, { lengthBytes: 3 * pageBytes, firstBlock: 0 })
  assert.deepEqual(outcome, { kind: 'read', lengthBytes: pageBytes, ...clean })
  assert.equal(records[0]?.length, pageBytes)
})

test('a file that is gone, and one that is empty', async (t) => {
  const path = scratchFile(t)
  assert.deepEqual((await read(path, { lengthBytes: 1 })).outcome, { kind: 'gone' })
  writeFileSync(path, '')
  assert.deepEqual((await read(path, { lengthBytes: 0 })).outcome, { kind: 'read', lengthBytes: 0, ...clean })
})

test('a file that is not made of pages is read as it is, its odd tail included', async (t) => {
  const path = scratchFile(t)
  const bytes = Buffer.concat([relation(1), Buffer.from('tail')])
  writeFileSync(path, bytes)
  const { outcome, records } = await read(path, { kind: 'whole', lengthBytes: bytes.length, firstBlock: 0 })
  assert.deepEqual(outcome, { kind: 'read', lengthBytes: bytes.length, ...clean })
  assert.ok(bytes.equals(Buffer.concat(records)))
})

test('a damaged page is reported with its block, and its bytes are given as they are', async (t) => {
  const path = scratchFile(t)
  const bytes = relation(40)
  bytes.writeUInt8(8, 35 * pageBytes + 5000)
  writeFileSync(path, bytes)
  const { outcome, records } = await read(path, { lengthBytes: bytes.length, firstBlock: 0 })
  assert.ok(outcome.kind === 'read')
  assert.deepEqual(outcome.suspects, [35])
  assert.ok(bytes.equals(Buffer.concat(records)))
})

test('a page that was being written is read again', async (t) => {
  const path = scratchFile(t)
  const intact = relation(3)
  const torn = Buffer.from(intact)
  torn.fill(0, pageBytes + 4096, 2 * pageBytes)
  writeFileSync(path, torn)
  const { outcome, records } = await read(path, { lengthBytes: torn.length, firstBlock: 0 }, () =>
    writeFileSync(path, intact),
  )
  assert.deepEqual(outcome, { kind: 'read', lengthBytes: torn.length, suspects: [], healed: 1 })
  assert.ok(intact.equals(Buffer.concat(records)))
})

test('a file that is truncated before a damaged page is read again ends there, keeping earlier findings', async (t) => {
  const path = scratchFile(t)
  const damaged = relation(4)
  damaged.writeUInt8(8, 5000)
  damaged.writeUInt8(8, 2 * pageBytes + 5000)
  writeFileSync(path, damaged)
  const { outcome } = await read(path, { lengthBytes: damaged.length, firstBlock: 0 }, () =>
    truncateSync(path, 2 * pageBytes),
  )
  assert.ok(outcome.kind === 'read')
  assert.equal(outcome.lengthBytes, 2 * pageBytes)
  assert.deepEqual(outcome.suspects, [0])
})
