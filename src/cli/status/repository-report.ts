import type { Config, RepositoryConfig } from '../../config/schema.ts'
import type { ProofSummary } from '../../repository/proofs.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Clock } from '../../std/clock.ts'
import { withDeadline } from '../../std/deadline.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { openConfiguredRepository } from '../open-configured.ts'
import type { ProofReport, RepositoryReport } from './core/status-report.ts'

const patienceMs = 10_000

export interface RepositoryQuestion {
  readonly config: Config
  /** The timeline of the cluster, null when it is not known. */
  readonly timeline: TimelineId | null
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** The last backup and the end of the archived WAL of every configured repository; one that cannot be read says why. */
export function reportRepositories(question: RepositoryQuestion): Promise<readonly RepositoryReport[]> {
  const [first] = question.config.repositories
  return Promise.all(
    question.config.repositories.map(async (repository): Promise<RepositoryReport> => {
      const copyOf = repository === first ? null : (first?.name ?? null)
      try {
        return await withDeadline(`read repository ${repository.name}`, patienceMs, question.signal, (signal) =>
          reportRepository(repository, copyOf, { ...question, signal }),
        )
      } catch (error) {
        question.signal.throwIfAborted()
        return {
          name: repository.name,
          copyOf,
          readable: false,
          because: error instanceof Error ? error.message : String(error),
        }
      }
    }),
  )
}

async function reportRepository(
  from: RepositoryConfig,
  copyOf: string | null,
  { config, timeline, clock, signal }: RepositoryQuestion,
): Promise<RepositoryReport> {
  const [{ listBackups }, { openGaps }, { summarizeProofs }] = await Promise.all([
    import('../../repository/catalogue.ts'),
    import('../../repository/open-gaps.ts'),
    import('../../repository/proofs.ts'),
  ])
  await using opened = await openConfiguredRepository(from, { clock, signal })
  const { backups, damaged } = await listBackups(opened.repository, config.cluster, { signal })
  const last = backups.at(-1)?.facts
  const place = { cluster: config.cluster, place: from.name }
  const proofs = await summarizeProofs(opened.repository, place, { signal })
  return {
    name: from.name,
    copyOf,
    readable: true,
    backups: backups.length,
    damaged: damaged.map(({ backup }) => backup),
    last:
      last === undefined
        ? null
        : { id: last.backup, startedAt: last.startedAt, stoppedAt: last.stoppedAt, dataBytes: last.dataBytes },
    gaps: await openGaps(opened.repository, config.cluster, { signal }),
    proofs: proofReport(proofs),
    archivedTo: timeline === null ? null : await archivedTo(opened.repository, { config, timeline, signal }),
  }
}

/** The part of the proofs that fits on a screen; the proofs themselves say the rest. */
export function proofReport({ highest, last, lastKeyTest, provenAt }: ProofSummary): ProofReport {
  return {
    lastProven:
      highest === null || highest.proven === null
        ? null
        : { level: highest.proven, at: highest.startedAt, backup: highest.backup, provenTime: highest.provenTime },
    provenAt,
    lastVerification:
      last === null
        ? null
        : {
            at: last.startedAt,
            backup: last.backup,
            outcome: last.outcome,
            requested: last.requested,
            proven: last.proven,
          },
    lastKeyTest,
  }
}

async function archivedTo(
  repository: Repository,
  {
    config,
    timeline,
    signal,
  }: { readonly config: Config; readonly timeline: TimelineId; readonly signal: AbortSignal },
): Promise<Lsn | null> {
  const [{ walInventory }, { walCoverage }] = await Promise.all([
    import('../../repository/wal-objects.ts'),
    import('../../repository/core/wal-coverage.ts'),
  ])
  const inventory = await walInventory(repository, config.cluster, { signal })
  const walSegmentBytes = config.postgres.walSegmentMegabytes * 1024 * 1024
  return walCoverage(inventory, { timeline, walSegmentBytes }).ranges.at(-1)?.endLsn ?? null
}
