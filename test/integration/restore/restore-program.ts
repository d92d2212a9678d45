import { openRepository } from '../../../src/repository/repository.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import { runRestore } from '../../../src/restore/run-restore.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { cluster, passphrase } from '../archive/archive-scene.ts'

/** Restores onto a directory and tells its progress a line an event: `restore-program.ts REPOSITORY DIRECTORY`. */
const [root = '', targetDirectory = ''] = process.argv.slice(2)
const store = await openFileSystemStore({ root, clock })
const repository = await openRepository(store, { passphrase })
const planned = await planFromRepository(repository, cluster, { target: { kind: 'immediate' }, timeline: 'latest' })
await runRestore(repository, planned, {
  targetDirectory,
  tablespacesInto: `${targetDirectory}-spaces`,
  delta: true,
  workers: 2,
  clock,
  onProgress: ({ stage }) => process.stdout.write(`${stage}\n`),
})
