import assert from 'node:assert/strict'
import { copyOnce, type CopyOutcome } from '../../../src/backup/offsite/copy-once.ts'
import type { CopyRoute } from '../../../src/backup/offsite/copy-object.ts'
import { segmentNameAt, segmentObject } from '../../../src/repository/core/object-names.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import type { RetentionPolicy } from '../../../src/repository/core/retention.ts'
import { createRepository, readRepositoryId, type Repository } from '../../../src/repository/repository.ts'
import { systemClock, type Clock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { cluster, ModelCluster } from '../repository/expiry-model.ts'
import { passphrase } from '../repository/sample-repository.ts'

export const nothing: RetentionPolicy = { days: 0, count: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
/** Wrapping the key takes longer than everything else, so all models share one repository, each with its own objects. */
const origin = new Map<string, Uint8Array>()
const created = await createRepository(memoryStore(origin), { passphrase: new Secret(passphrase), clock: systemClock })

/** Waits for nothing. */
export const hastyClock: Clock = { ...systemClock, sleep: async (_, options) => options?.signal?.throwIfAborted() }

/** A made-up cluster whose repository is real, and a copy of it. */
export class CopyModel {
  readonly objects: Map<string, Uint8Array> = new Map(origin)
  readonly copied: Map<string, Uint8Array> = new Map()
  readonly model: ModelCluster
  readonly copyStore: ObjectStore

  constructor(wrap: (store: ObjectStore) => ObjectStore = (store) => store) {
    this.model = new ModelCluster({ ...created, store: wrap(memoryStore(this.objects)) })
    this.copyStore = wrap(memoryStore(this.copied))
  }

  get first(): Repository {
    return this.model.repository
  }

  get copy(): Repository {
    return { ...this.first, store: this.copyStore }
  }

  route(stores: { readonly first?: ObjectStore; readonly copy?: ObjectStore } = {}): CopyRoute {
    return {
      first: { ...this.first, store: stores.first ?? this.first.store },
      copy: stores.copy ?? this.copyStore,
      cluster,
      clock: { ...hastyClock, wall: () => this.model.now },
      pace: async () => {},
    }
  }

  copyOnce(stores: { readonly first?: ObjectStore; readonly copy?: ObjectStore } = {}): Promise<CopyOutcome> {
    return copyOnce(this.route(stores))
  }

  expireCopy(
    policy: RetentionPolicy,
    store: ObjectStore = this.copyStore,
    firstStore: ObjectStore = this.first.store,
  ): ReturnType<typeof expireBackups> {
    const first = { ...this.first, store: firstStore }
    return expireBackups({ ...this.first, store }, cluster, policy, { clock: this.model.clock, first })
  }

  /** L5 and L6 in both places: what is listed is whole and can be restored by itself. */
  async assertSound(): Promise<void> {
    await this.model.assertSound()
    if ((await readRepositoryId(this.copyStore)) !== undefined) await this.model.assertSound(this.copy)
  }

  /** The copy has everything the first has, byte for byte; it may have more. */
  assertComplete(): void {
    for (const [key, bytes] of this.objects) {
      if (/^[^/]+\/(sessions|gc|holds)\//.test(key)) continue
      const found = this.copied.get(key)
      if (found === undefined && (this.#isOfNoBackup(key) || this.#isSuperseded(key))) continue
      assert.ok(found !== undefined && Buffer.compare(found, bytes) === 0, key)
    }
  }

  #isSuperseded(key: string): boolean {
    const [, timeline = '', start = ''] = /\/tail\/([0-9A-F]{8})\/([0-9A-F]{16})/.exec(key) ?? []
    if (start === '') return false
    const name = segmentNameAt(Number.parseInt(timeline, 16) as TimelineId, BigInt(`0x${start}`) as Lsn, 4096)
    return this.objects.has(segmentObject(cluster, name))
  }

  /** Packs and manifests of backups that are not listed are nobody's yet. */
  #isOfNoBackup(key: string): boolean {
    const backup = /^[^/]+\/(?:packs|backups)\/([^/]+)\//.exec(key)?.[1]
    const commit = this.objects.get(`${cluster}/backups/${backup}/commit.json`)
    return backup !== undefined && (commit === undefined || Buffer.from(commit).includes('collected'))
  }
}

/** Backups a day apart with WAL between them, each but the first on the one before. */
export async function dailyBackups(count: number): Promise<CopyModel> {
  const made = new CopyModel()
  await made.model.start()
  for (let day = 0; day < count; day += 1) {
    await made.model.begin(day === 0 ? undefined : day - 1, 0)
    await made.model.archive(2)
    await finishLast(made.model)
    made.model.pass(1)
  }
  return made
}

export async function finishLast(model: ModelCluster): Promise<void> {
  const last = model.open.at(-1)
  if (last !== undefined) await model.finish(last)
}
