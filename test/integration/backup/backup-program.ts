import { takeBackup } from '../../../src/backup/take-backup.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { superuser, superuserPassword } from '../../support/postgres.ts'
import { cluster, passphrase } from './backup-scene.ts'

/** A backup as a process of its own, for tests that kill it: `<port> <data directory> <repository>`. */
const [port = '', dataDirectory = '', root = ''] = process.argv.slice(2)
const store = await openFileSystemStore({ root, clock: systemClock })
const repository = await openRepository(store, { passphrase })
const target = {
  host: '127.0.0.1',
  port: Number(port),
  user: superuser,
  password: superuserPassword,
  database: 'postgres',
}
process.stdout.write('begins\n')
const { commit } = await takeBackup({ repository, cluster, target, dataDirectory }, { clock: systemClock, workers: 2 })
process.stdout.write(`${commit.facts.backup}\n`)
