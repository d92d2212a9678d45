import { openRepository } from '../../../src/repository/repository.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import { openSandbox } from '../../../src/restore/sandbox.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { superuser, testInstallations } from '../../support/postgres.ts'
import { cluster, passphrase } from '../archive/archive-scene.ts'

/** Opens a sandbox, says where it is, and stays until it is killed: `sandbox-program.ts REPOSITORY PARENT MAJOR`. */
const [root = '', parentDirectory = '', major = ''] = process.argv.slice(2)
const store = await openFileSystemStore({ root, clock })
const repository = await openRepository(store, { passphrase })
const planned = await planFromRepository(repository, cluster, { target: { kind: 'latest' }, timeline: 'latest' })
const installation = (await testInstallations()).find((found) => found.major === Number(major))
if (installation === undefined) throw new Error(`no PostgreSQL ${major}`)
await using sandbox = await openSandbox(repository, planned, { installation, parentDirectory, superuser, clock })
console.log(sandbox.dataDirectory)
await clock.sleep(600_000)
