import { archiverProcess } from '../../../src/archive/archiver-process.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { replicationPassword, replicationUser } from '../../support/postgres.ts'
import { cluster, passphrase, slot } from './archive-scene.ts'

/** An archiver as a process of its own, for tests that kill it: `<port> <repository> <spool directory>`. */
const [port = '', root = '', spoolDirectory = ''] = process.argv.slice(2)
const store = await openFileSystemStore({ root, clock: systemClock })
const repository = await openRepository(store, { passphrase })
const source = {
  host: '127.0.0.1',
  port: Number(port),
  user: replicationUser,
  password: replicationPassword,
  database: 'postgres',
}
await archiverProcess(
  { source, slot, repository, cluster, spoolDirectory, flushMs: 30, clock: systemClock },
  { input: process.stdin, output: process.stdout },
)
