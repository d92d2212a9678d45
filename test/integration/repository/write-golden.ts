import { createHash } from 'node:crypto'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  archiveSampleWal,
  createSampleRepository,
  passphrase,
  sampleFiles,
  sampleHistory,
  sampleSegment,
  sampleTail,
  scratchStore,
  takeSampleBackup,
} from './sample-repository.ts'

/**
 * Writes `test/fixtures/repository-v1`: a repository of format 1 that every later version must keep reading. To be run
 * by hand, once for each version of the format; an existing fixture is never written again.
 */
const target = new URL('../../fixtures/repository-v1/', import.meta.url).pathname
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

await using scratch = await scratchStore()
const repository = await createSampleRepository(scratch.store)
await archiveSampleWal(repository)
const { facts } = await takeSampleBackup(repository)
await mkdir(target, { recursive: true })
await cp(scratch.root, join(target, 'repository'), { recursive: true, errorOnExist: true, force: false })
await rm(join(target, 'repository', '.tmp'), { recursive: true, force: true })
const files = Object.fromEntries([...sampleFiles].map(([path, content]) => [path, sha256(content)]))
const wal = { segment: sha256(sampleSegment), tail: sha256(sampleTail), history: sha256(sampleHistory) }
const expected = { passphrase, repositoryId: repository.id, backup: facts.backup, files, wal }
await writeFile(join(target, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`, { flag: 'wx' })
