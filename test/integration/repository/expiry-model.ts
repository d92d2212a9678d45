import assert from 'node:assert/strict'
import { beginBackup, type BackupSession } from '../../../src/repository/backup-session.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { claimCluster } from '../../../src/repository/cluster-identity.ts'
import type { PackReference } from '../../../src/repository/core/backup-facts.ts'
import { backupOfPack, segmentNameAt } from '../../../src/repository/core/object-names.ts'
import type { RetentionPolicy } from '../../../src/repository/core/retention.ts'
import { walCoverage } from '../../../src/repository/core/wal-coverage.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import { createPackBuilder } from '../../../src/repository/pack-builder.ts'
import { openPack } from '../../../src/repository/pack-reader.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { readIfStored } from '../../../src/repository/stored-objects.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { putHistory, putTail, putWalSegment, walInventory } from '../../../src/repository/wal-objects.ts'
import type { RestoreRequest } from '../../../src/restore/core/plan.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import type { EpochMs } from '../../../src/std/clock.ts'
import { Fault } from '../../../src/std/fault.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import {
  branchTimeline,
  firstTimelineHistory,
  formatTimelineHistory,
  type TimelineHistory,
} from '../../../src/wal/core/timeline-history.ts'

export const cluster = 'main'
export const dayMs = 86_400_000
/** Small, so that a test may have thousands of segments. */
const segmentBytes = 4096

/** A moment that somebody may want back. */
interface Mark {
  readonly time: number
  readonly lsn: Lsn
}

interface StoredFile {
  readonly path: string
  readonly pack: PackReference
}

interface OpenBackup {
  readonly session: BackupSession
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly files: readonly StoredFile[]
}

/** A made-up cluster with an archiver and backups, whose repository is real. */
export class ModelCluster {
  now: EpochMs = Date.parse('2026-01-01T00:00:00Z') as EpochMs
  readonly open: OpenBackup[] = []
  readonly repository: Repository
  #history: TimelineHistory = firstTimelineHistory()
  #lsn = BigInt(10 * segmentBytes) as Lsn
  readonly #marks: Mark[] = []
  readonly #filesOf = new Map<string, readonly StoredFile[]>()

  constructor(repository: Repository) {
    this.repository = repository
  }

  get clock(): { wall: () => EpochMs } {
    return { wall: () => this.now }
  }

  async start(): Promise<void> {
    const identity = { cluster, systemIdentifier: 7n, walSegmentBytes: segmentBytes }
    await claimCluster(this.repository, identity)
    await this.archive(2)
  }

  /** Gives what brings the cluster back to how it is now; its repository stays as it is. */
  snapshot(): () => void {
    const [now, history, lsn, marks] = [this.now, this.#history, this.#lsn, this.#marks.length]
    const [open, files] = [[...this.open], new Map(this.#filesOf)]
    return () => {
      this.now = now
      this.#history = history
      this.#lsn = lsn
      this.#marks.length = marks
      this.open.splice(0, this.open.length, ...open)
      this.#filesOf.clear()
      for (const [backup, stored] of files) this.#filesOf.set(backup, stored)
    }
  }

  pass(days: number): void {
    this.now = (this.now + days * dayMs) as EpochMs
  }

  /** Whole segments, and a tail of the next. */
  async archive(segments: number): Promise<void> {
    const timeline = this.#history.timeline
    const first = this.#lsn - (this.#lsn % BigInt(segmentBytes))
    for (let index = 0; index < segments; index += 1) {
      const startLsn = (first + BigInt(index * segmentBytes)) as Lsn
      const name = segmentNameAt(timeline, startLsn, segmentBytes)
      await putWalSegment(this.repository, { cluster, name, bytes: new Uint8Array(segmentBytes).fill(timeline) })
    }
    const startLsn = (first + BigInt(segments * segmentBytes)) as Lsn
    const before = this.#lsn
    this.#lsn = (startLsn + 1000n) as Lsn
    await putTail(this.repository, {
      cluster,
      timeline,
      startLsn,
      endLsn: this.#lsn,
      bytes: new Uint8Array(1000).fill(timeline),
    })
    // Without new WAL it is the moment of before.
    if (this.#lsn > before) this.#marks.push({ time: this.now, lsn: (this.#lsn - 1n) as Lsn })
  }

  /** A failover, or, with `back`, a promotion of a copy that was restored to before. */
  async promote(back: number): Promise<void> {
    const timeline = (this.#history.timeline + 1) as TimelineId
    const floor = this.#history.ancestors.at(-1)?.switchLsn ?? BigInt(11 * segmentBytes)
    const wanted = this.#lsn - BigInt(back * segmentBytes)
    const at = (wanted > floor ? wanted : floor) as Lsn
    this.#history = branchTimeline(this.#history, timeline, at, 'test')
    this.#lsn = at
    await putHistory(this.repository, { cluster, timeline, bytes: Buffer.from(formatTimelineHistory(this.#history)) })
    await this.archive(1)
  }

  /**
   * `lag`: how many segments a standby's last restart point lies behind. `parent`: counts in what is listed. Another
   * backup that is open is one that died, when it is of the same `node`; this one then names what it has stored.
   */
  async begin(
    parent: number | undefined,
    lag: number,
    { repository = this.repository, node }: { readonly repository?: Repository; readonly node?: string } = {},
  ): Promise<void> {
    const { backups } = await listBackups(repository, cluster)
    const chosen = parent === undefined ? undefined : backups[parent % (backups.length || 1)]?.facts.backup
    const kind = chosen === undefined ? 'full' : 'incremental'
    const session = await beginBackup(repository, { cluster, kind, parent: chosen, node }, { clock: this.clock })
    const builder = createPackBuilder(repository.keyring, session.packObject(0))
    const path = `data-${session.backup}`
    builder.add({ type: 'file', meta: { path, offset: 0 }, plain: Buffer.from(session.backup) })
    const pack = await session.putPack(builder.finish())
    const shared = (chosen === undefined ? [] : this.#filesOf.get(chosen)) ?? []
    const behind = this.#lsn - BigInt(lag * segmentBytes)
    const floor = this.#history.ancestors.at(-1)?.switchLsn ?? BigInt(10 * segmentBytes)
    const startLsn = (behind > floor ? behind : floor) as Lsn
    // Half of the parent's pages have not changed.
    const files = [...shared.slice(-2), { path, pack }]
    for (const key of session.adoptablePacks.slice(0, 3)) {
      const taken = `data-${backupOfPack(key)}`
      const bytes = await readIfStored(repository.store, key)
      if (bytes === undefined || files.some((file) => file.path === taken)) continue
      const { sha256 } = openPack(repository.keyring, key, bytes)
      files.push({ path: taken, pack: { key, sha256, sizeBytes: bytes.length } })
    }
    this.open.push({ session, timeline: this.#history.timeline, startLsn, files })
  }

  /** Ends a backup as `takeBackup` does: committed only when the WAL is there and nobody was promoted. */
  async finish(backup: OpenBackup): Promise<void> {
    this.open.splice(this.open.indexOf(backup), 1)
    const { session, timeline, startLsn, files } = backup
    if (timeline !== this.#history.timeline) return await session.interrupt()
    const stopLsn = this.#lsn
    const { ranges } = walCoverage(await walInventory(this.repository, cluster), {
      timeline,
      walSegmentBytes: segmentBytes,
    })
    const there = ranges.some((range) => range.startLsn <= startLsn && range.endLsn >= stopLsn)
    if (!there) return await session.abandon()
    const facts = {
      startedAt: this.now,
      stoppedAt: this.now,
      systemIdentifier: 7n,
      postgresVersion: 180000,
      node: null,
      role: 'primary',
      timeline,
      startLsn,
      stopLsn,
      walSegmentBytes: segmentBytes,
      pageBytes: 8192,
      pageChecksums: true,
      damagedPages: [],
      labels: {},
      dataBytes: 1,
      packs: files.map(({ pack }) => pack),
    } as const
    await session.commit({
      facts,
      backupLabel: '',
      tablespaceMap: null,
      tablespaces: [],
      files: files.map(({ path }, pack) => {
        const parts = [{ pack, record: 0, count: 1 }]
        return { kind: 'whole', path, sizeBytes: path.length - 5, mode: 0o600, modifiedAt: this.now, parts }
      }),
    })
    this.#filesOf.set(session.backup, files)
  }

  expire(policy: RetentionPolicy, repository: Repository = this.repository): ReturnType<typeof expireBackups> {
    return expireBackups(repository, cluster, policy, { clock: this.clock })
  }

  /** L5 and L6: what is listed is whole and can be restored by itself. With `unread`, only those are read. */
  async assertSound(repository: Repository = this.repository, unread?: ReadonlySet<string>): Promise<void> {
    const { backups, damaged } = await listBackups(repository, cluster)
    assert.deepEqual(damaged, [])
    for (const commit of backups) {
      const backupId = commit.facts.backup
      if (unread?.has(backupId) ?? true) assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
      const request = { target: { kind: 'immediate' }, timeline: 'current', backupId } as const
      assert.ok(await this.#plans(request, repository), backupId)
    }
  }

  /** Which of the moments of the last days can be restored, on the way to the newest timeline; the end of all is one. */
  async reachable(days: number, repository: Repository = this.repository): Promise<readonly string[]> {
    const found: string[] = []
    for (const { time, lsn } of this.#marks) {
      if (days === 0 || time < this.now - days * dayMs) continue
      const target = { kind: 'lsn', lsn, inclusive: false } as const
      if (await this.#plans({ target, timeline: 'latest' }, repository)) found.push(`${time} ${lsn}`)
    }
    const latest = await this.#plans({ target: { kind: 'latest' }, timeline: 'latest' }, repository)
    return latest === undefined ? found : [...found, `latest: ${latest}`]
  }

  async #plans(request: RestoreRequest, repository: Repository): Promise<Lsn | undefined> {
    try {
      return (await planFromRepository(repository, cluster, request)).plan.walEndLsn
    } catch (error) {
      if (error instanceof Fault && error.code.startsWith('restore-')) return undefined
      throw error
    }
  }
}
