import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginBackup } from '../../../src/repository/backup-session.ts'
import { openBackupManifest } from '../../../src/repository/catalogue.ts'
import { claimCluster } from '../../../src/repository/cluster-identity.ts'
import { systemClock } from '../../../src/std/clock.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { memoryStore } from '../../support/memory-store.ts'
import * as sample from './sample-repository.ts'

test('what a backup shares with older ones, and what opens the repository, is locked anew before it is listed', async () => {
  const happened: string[] = []
  const inner = memoryStore()
  const store: ObjectStore = {
    ...inner,
    create: async (key, body, options) => {
      happened.push(`create ${key}`)
      return await inner.create(key, body, options)
    },
    renewLock: async (key) => void happened.push(`lock ${key}`),
  }
  const repository = await sample.createSampleRepository(store)
  const { cluster, systemIdentifier, walSegmentBytes } = sample
  await claimCluster(repository, { cluster, systemIdentifier, walSegmentBytes })
  const parent = await sample.takeSampleBackup(repository)
  happened.length = 0
  const session = await beginBackup(
    repository,
    { cluster, kind: 'incremental', parent: parent.facts.backup },
    { clock: systemClock },
  )
  const { backupLabel, tablespaceMap, tablespaces, files } = await openBackupManifest(repository, parent)
  const content = { facts: parent.facts, backupLabel, tablespaceMap, tablespaces, files: [...files()] }
  const { facts } = await session.commit(content)
  const keys = (await Array.fromAsync(store.list('keys/'))).map(({ key }) => key)
  const shared = parent.facts.packs.map(({ key }) => key)
  const wanted = ['RESTORE.md', 'restore.mjs', 'repository.json', `${cluster}/cluster.json`, ...keys, ...shared]
  const locked = happened.filter((line) => line.startsWith('lock ')).map((line) => line.slice(5))
  assert.deepEqual(locked.toSorted(), wanted.toSorted())
  assert.ok(
    happened.findLastIndex((line) => line.startsWith('lock ')) <
      happened.indexOf(`create ${cluster}/backups/${facts.backup}/manifest`),
  )
})
