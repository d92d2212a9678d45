import { listBackups, readCommit } from '../../repository/catalogue.ts'
import type { Commit } from '../../repository/core/commit.ts'
import { mostFindings, type ProofCheck, type VerificationProof } from '../../repository/core/proof.ts'
import type { KeyAccess } from '../../repository/openpgp-keys.ts'
import type { VerificationLevel } from '../../repository/core/proof-name.ts'
import type { RetentionPolicy } from '../../repository/core/retention.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import type { Repository } from '../../repository/repository.ts'
import type { KnownPacks } from '../../repository/verify.ts'
import type { Clock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import { checkDumps } from './check-dumps.ts'
import { checkCatalogue, checkContents, checkPresence } from './check-objects.ts'
import { checkRestored, type CopyRequest } from './check-restored.ts'
import { checkWal, type WalFacts } from './check-wal.ts'
import { checkWindow } from './check-window.ts'
import { judge, type Check } from './core/judge.ts'
import { verifyFaults } from './faults.ts'
import { openExamination, type Examination } from './examination.ts'

export interface VerifyRequest {
  readonly cluster: string
  /** A backup of which only the name is known, when its commit cannot be read. */
  readonly subject: { readonly commit: Commit } | { readonly backup: string; readonly fault: Fault }
  readonly level: VerificationLevel
  /** What opened the repository: the key objects are tried again. */
  readonly access: KeyAccess
  /** What the configuration calls the repository. */
  readonly place: string
  readonly policy: RetentionPolicy
  /** For levels 3 and 4: where and how the backup is restored. */
  readonly copy?: CopyRequest | undefined
  readonly node: string
  readonly version: string
}

export interface VerifyOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  /** From 0 to 1, for places chosen by chance. */
  readonly random: () => number
  /** Packs that were found good in the same run. */
  readonly known?: KnownPacks | undefined
  readonly onCheck?: ((check: ProofCheck) => void) | undefined
  readonly onProgress?: ((what: string, done: number, total: number) => void) | undefined
}

/**
 * Verifies one backup up to a level, each level with those below it, and says what was seen; nothing is recorded here.
 * Damage is a result. A store that does not answer, or a disk that fails, throws: then nothing was learned.
 */
export async function verifyBackup(
  repository: Repository,
  request: VerifyRequest,
  options: VerifyOptions,
): Promise<VerificationProof> {
  const { clock } = options
  const startedAt = clock.wall()
  const started = clock.monotonic()
  const { subject, level } = request
  const examination = openExamination(clock, (check) => options.onCheck?.(check))
  await checkCatalogue(repository, request.cluster, examination, { signal: options.signal })
  const wal =
    'commit' in subject ? await examine(repository, { ...request, ...subject }, examination, options) : undefined
  if (wal === undefined && level >= 3) {
    const text = 'the WAL that the backup needs is not whole'
    await examination.check(3, 'restore', async () => ({ outcome: 'skipped', text }))
  }
  const postgres =
    wal === undefined || !('commit' in subject)
      ? null
      : await examineCopy(repository, request, { ...subject, wal }, examination, options)
  if ('fault' in subject) await examineUnreadable(subject.fault, examination)
  const facts = 'commit' in subject ? subject.commit.facts : undefined
  const backup = 'commit' in subject ? subject.commit.facts.backup : subject.backup
  const { proven, outcome } = judge(examination.checks, level)
  if (outcome === 'failed' && facts !== undefined) await assertStillListed(repository, facts, options)
  return {
    repositoryId: repository.id,
    cluster: request.cluster,
    place: request.place,
    store: repository.store.description,
    backup,
    backupStoppedAt: facts?.stoppedAt ?? null,
    requested: level,
    proven,
    outcome,
    startedAt,
    durationMs: Math.round(clock.monotonic() - started),
    node: request.node,
    version: request.version,
    postgres,
    timeline: wal?.planned.plan.timeline ?? facts?.timeline ?? null,
    provenLsn: wal?.endLsn ?? null,
    provenTime: wal?.lastCommitAt ?? null,
    restorable:
      outcome === 'failed' ? await restorable(repository, request.cluster, backup, examination, options) : null,
    checks: examination.checks.toSorted((a, b) => a.level - b.level).map(withoutNeed),
    findings: examination.findings.slice(0, mostFindings),
    findingCount: examination.findings.length,
  }
}

/** What is missing may be so because the backup was expired meanwhile: then it is not broken, but gone. */
async function assertStillListed(
  repository: Repository,
  { cluster, backup }: Commit['facts'],
  { signal }: VerifyOptions,
): Promise<void> {
  try {
    await readCommit(repository, { cluster, backup }, { signal })
  } catch (error) {
    if (!isFault(error, repositoryFaults['repository-backup-not-found'])) return
    throw new Fault(
      verifyFaults['verify-backup-expired'],
      `Cannot verify backup ${backup}: it was removed while it was looked at`,
      { details: { cluster, backup }, cause: error },
    )
  }
}

function withoutNeed({ level, name, outcome, text, durationMs }: Check): ProofCheck {
  return { level, name, outcome, text, durationMs }
}

async function examine(
  repository: Repository,
  { cluster, commit, level, policy, access }: VerifyRequest & { readonly commit: Commit },
  examination: Examination,
  options: VerifyOptions,
): Promise<WalFacts | undefined> {
  const { clock, signal } = options
  await checkPresence(repository, commit, examination, { signal })
  if (level < 1) return undefined
  await checkContents(repository, commit, examination, {
    signal,
    access,
    resolve: level >= 2,
    known: options.known ?? new Map(),
    onBytes: (done, total) => options.onProgress?.('reading the backup', done, total),
  })
  const own = level < 2 ? undefined : await checkWindow(repository, { cluster, policy }, examination, { clock, signal })
  const { backup } = commit.facts
  const wal = await checkWal(repository, { cluster, backup, ownWalOnly: own?.has(backup) === true }, examination, {
    clock,
    signal,
    records: level >= 2,
    share: options.random(),
    onBytes: (done, total) => options.onProgress?.('reading the WAL', done, total),
  })
  await checkDumps(repository, cluster, examination, { signal })
  return wal
}

/** L3 and L4. A backup of which something is known to be broken is restored all the same: how far that goes is worth knowing. */
async function examineCopy(
  repository: Repository,
  { level, copy }: VerifyRequest,
  { commit, wal }: { readonly commit: Commit; readonly wal: WalFacts },
  examination: Examination,
  { clock, signal, onProgress }: VerifyOptions,
): Promise<string | null> {
  if (level < 3 || copy === undefined) return null
  const subject = { commit, wal, level }
  return await checkRestored(repository, subject, copy, examination, { clock, signal, onBytes: onProgress })
}

async function examineUnreadable(fault: Fault, examination: Examination): Promise<void> {
  examination.findFault(0, fault)
  await examination.check(0, 'objects present', async () => ({ outcome: 'failed', text: fault.message }))
}

/** What is left when a backup is not good: the other backups, by what is known of them. */
async function restorable(
  repository: Repository,
  cluster: string,
  backup: string,
  examination: Examination,
  { signal }: VerifyOptions,
): Promise<string> {
  const { backups } = await listBackups(repository, cluster, { signal })
  const bad = new Set(examination.findings.flatMap(({ object }) => object ?? []))
  const named = ({ manifest, facts }: Commit): readonly string[] => [manifest.key, ...facts.packs.map(({ key }) => key)]
  const untouched = backups.filter(
    (other) => other.facts.backup !== backup && named(other).every((key) => !bad.has(key)),
  )
  const newest = untouched.at(-1)?.facts
  if (newest === undefined) return 'no other backup is free of the damage that was found'
  const ended = new Date(newest.stoppedAt).toISOString()
  return `backup ${newest.backup} (ended ${ended}, ${formatLsn(newest.stopLsn)}) uses none of the damaged objects; ${untouched.length} of ${backups.length} backups do not`
}
