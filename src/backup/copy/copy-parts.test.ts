import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Keyring } from '../../repository/keyring.ts'
import { newChunkKey } from '../../repository/chunk-hash.ts'
import { openPack } from '../../repository/pack-reader.ts'
import { backupFaults } from '../faults.ts'
import { copyParts, type CopyRequest } from './copy-parts.ts'
import type { CopiedPart, PackToStore, PartToCopy } from './copy-protocol.ts'

const key = { id: 'ab'.repeat(16), key: createSecretKey(randomBytes(32)) }
const keyring: Keyring = { repositoryId: 'test', current: key, keys: [key] }
const partBytes = 32 * 1024 * 1024

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-copy-'))
  t.after(() => rm(directory, { recursive: true }))
  return directory
}

function part(path: string, lengthBytes: number, offset = 0): PartToCopy {
  return { file: 0, path, kind: 'whole', firstBlock: undefined, offset, lengthBytes }
}

async function* workOf(batches: readonly PartToCopy[][]) {
  for (const parts of batches) yield { kind: 'batch', parts } as const
  return undefined
}

function requestFor(dataDirectory: string, batches: PartToCopy[][], over: Partial<CopyRequest> = {}): CopyRequest {
  return {
    keyring,
    dataDirectory,
    cluster: 'main',
    backup: '20261122T133000Z-00000000',
    chunkKey: newChunkKey(),
    work: workOf(batches),
    workers: 1,
    store: async () => {},
    onCopied: () => {},
    ...over,
  }
}

test('copies everything once, into packs that open, with several threads', async (t) => {
  const directory = await scratch(t)
  const files = Array.from({ length: 40 }, (_, index) => ({ path: `f${index}`, bytes: randomBytes(index * 30_000) }))
  for (const { path, bytes } of files) await writeFile(join(directory, path), bytes)
  const batches = files.map(({ path, bytes }, file) => [{ ...part(path, bytes.length), file }])
  const packs: PackToStore[] = []
  const copied: CopiedPart[] = []
  const { packCount } = await copyParts(
    requestFor(directory, batches, {
      workers: 3,
      // Its memory is used again.
      store: async (pack) => void packs.push({ ...pack, bytes: pack.bytes.slice() }),
      onCopied: (parts) => copied.push(...parts),
    }),
  )
  assert.equal(packCount, packs.length)
  assert.deepEqual(
    packs.map((pack) => pack.number).toSorted((a, b) => a - b),
    [...packs.keys()],
  )
  const opened = new Map(packs.map((pack) => [pack.number, openPack(keyring, pack.objectKey, pack.bytes)]))
  assert.equal(copied.length, files.length)
  for (const { file, records } of copied) {
    const bytes = Buffer.concat(records.map(({ pack, record }) => opened.get(pack)?.read(record) ?? assert.fail()))
    assert.ok(files[file]?.bytes.equals(bytes), `file ${file}`)
  }
})

test('a slow store holds the threads back: two packs each, and no more', { timeout: 60_000 }, async (t) => {
  const directory = await scratch(t)
  await writeFile(join(directory, 'big'), randomBytes(4 * partBytes))
  const batches = Array.from({ length: 4 }, (_, index) => [part('big', partBytes, index * partBytes)])
  let underWay = 0
  let most = 0
  const { packCount } = await copyParts(
    requestFor(directory, batches, {
      store: async () => {
        underWay += 1
        most = Math.max(most, underWay)
        // Longer than a thread takes for a pack, so that only the limit keeps it from giving a third.
        await new Promise((resolve) => setTimeout(resolve, 500))
        underWay -= 1
      },
    }),
  )
  assert.ok(packCount >= 4)
  assert.equal(most, 2)
})

test('a file that cannot be read is named', async (t) => {
  const directory = await scratch(t)
  const failed = copyParts(requestFor(directory, [[part('.', 10)]]))
  await assert.rejects(failed, { kind: backupFaults['backup-file-unreadable'], details: { path: '.', code: 'EISDIR' } })
})

test('a thread that fails in another way is a fault of ours', async (t) => {
  const directory = await scratch(t)
  await writeFile(join(directory, 'f'), 'content')
  const { current: _, ...broken } = keyring
  const failed = copyParts(requestFor(directory, [[part('f', 7)]], { keyring: broken as Keyring }))
  await assert.rejects(failed, { kind: backupFaults['backup-worker-failed'] })
})

test('a store that fails, and a signal, end the copy with their own reason', async (t) => {
  const directory = await scratch(t)
  await writeFile(join(directory, 'f'), 'content')
  const reason = new Error('no room')
  await assert.rejects(
    copyParts(requestFor(directory, [[part('f', 7)]], { store: () => Promise.reject(reason) })),
    reason,
  )
  const stop = new AbortController()
  const stopped = copyParts(
    requestFor(directory, [[part('f', 7)]], { signal: stop.signal, onCopied: () => stop.abort(reason) }),
  )
  await assert.rejects(stopped, reason)
})

test('nothing to copy makes no packs', async (t) => {
  assert.equal((await copyParts(requestFor(await scratch(t), []))).packCount, 0)
})
