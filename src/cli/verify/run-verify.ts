import { join, resolve } from 'node:path'
import type { Config } from '../../config/schema.ts'
import type { CopyRequest } from '../../drill/verify/check-restored.ts'
import { verifyFaults } from '../../drill/verify/faults.ts'
import { verifyBackup } from '../../drill/verify/verify-backup.ts'
import type { VerifyRequest } from '../../drill/verify/verify-backup.ts'
import { listBackups } from '../../repository/catalogue.ts'
import type { Commit } from '../../repository/core/commit.ts'
import { proofToJson, type VerificationProof } from '../../repository/core/proof.ts'
import type { KeyAccess } from '../../repository/openpgp-keys.ts'
import type { VerificationLevel } from '../../repository/core/proof-name.ts'
import { recordProof } from '../../repository/proofs.ts'
import type { Repository } from '../../repository/repository.ts'
import type { KnownPacks } from '../../repository/verify.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { installationFor } from '../restore/installation-for.ts'
import { chooseRepository, openConfiguredRepository, repositoryAccess } from '../open-configured.ts'
import { openProgressLine } from '../terminal/progress-line.ts'
import { renderProof } from './render-proof.ts'

export interface VerifyCommandOptions {
  readonly backup: string | undefined
  readonly repository: string | undefined
  readonly level: VerificationLevel
  readonly all: boolean
  readonly directory: string | undefined
}

/** A proof and where it was recorded; or why it was not. */
export interface VerifyResult {
  readonly proof: VerificationProof
  readonly id: string | null
  readonly notRecorded: string | null
}

/** Verifies backups, one after the other, records and prints what was seen. */
export async function runVerify(
  config: Config,
  context: CommandContext,
  options: VerifyCommandOptions,
): Promise<'ok' | 'degraded' | 'integrity'> {
  const { output } = context
  if (options.level >= 3 && process.getuid?.() === 0) {
    throw new Fault(cliFaults['cli-runs-as-root'], 'Cannot verify at this level: this is root, and a server is started')
  }
  const chosen = chooseRepository(config, options.repository)
  const access = await repositoryAccess(chosen)
  await using opened = await openConfiguredRepository(chosen, context)
  const results: VerifyResult[] = []
  const known: KnownPacks = new Map()
  try {
    const subjects = await chooseBackups(opened.repository, config, options, context)
    const newest = subjects.findLast((subject) => 'commit' in subject)
    for (const subject of subjects) {
      const level = subject === newest ? options.level : lower(options.level, subjects.length)
      const result = await verifyOne(
        opened,
        { config, subject, access, known, level, directory: options.directory },
        context,
      )
      results.push(result)
      if (!context.json) output.print(renderProof(result, (style, text) => output.style(style, text)))
    }
  } finally {
    output.progress('')
  }
  if (context.json) output.printJson(results.map(resultDocument))
  if (results.some(({ proof }) => proof.outcome === 'failed')) return 'integrity'
  const good = results.every(({ proof, id }) => proof.outcome === 'passed' && id !== null)
  return good ? 'ok' : 'degraded'
}

type Subject = VerifyRequest['subject']

/**
 * The backup that is named, else the newest, or all. A backup whose commit is damaged is always among them where none is
 * named: nobody knows which it is the newest of.
 */
async function chooseBackups(
  repository: Repository,
  { cluster }: Config,
  { backup, all }: VerifyCommandOptions,
  { signal }: CommandContext,
): Promise<readonly Subject[]> {
  const { backups, damaged } = await listBackups(repository, cluster, { signal })
  const readable =
    backup === undefined ? (all ? backups : backups.slice(-1)) : backups.filter(({ facts }) => facts.backup === backup)
  const unreadable = damaged.filter((entry) => backup === undefined || entry.backup === backup)
  const chosen = [...readable.map((commit) => ({ commit })), ...unreadable]
  if (chosen.length > 0) return chosen
  const what = backup === undefined ? `any backup of cluster ${cluster}` : `backup ${backup} of cluster ${cluster}`
  throw new Fault(
    verifyFaults['verify-no-backup'],
    `Cannot verify ${what}: it is not in ${repository.store.description}`,
    {
      details: { cluster, backup: backup ?? null },
    },
  )
}

async function verifyOne(
  opened: { readonly name: string; readonly repository: Repository },
  work: {
    readonly config: Config
    readonly subject: Subject
    readonly access: KeyAccess
    readonly known: KnownPacks
    readonly level: VerificationLevel
    readonly directory: string | undefined
  },
  context: CommandContext,
): Promise<VerifyResult> {
  const { clock, signal, output, version } = context
  const { config, subject, access, known, level } = work
  const backup = 'commit' in subject ? subject.commit.facts.backup : subject.backup
  const lines = new Map<string, ReturnType<typeof openProgressLine>>()
  const proof = await verifyBackup(
    opened.repository,
    {
      cluster: config.cluster,
      subject,
      access,
      level,
      place: opened.name,
      policy: config.retention,
      copy: 'commit' in subject ? copyRequest(config, context, subject.commit, work.directory) : undefined,
      node: config.node.name,
      version,
    },
    {
      clock,
      signal,
      known,
      random: Math.random,
      onProgress: (what, done, total) => {
        const line = lines.get(what) ?? openProgressLine(clock)
        lines.set(what, line)
        output.progress(line(done, total, `${backup}: ${what}`))
      },
    },
  )
  output.progress('')
  try {
    return { proof, id: await recordProof(opened.repository, proof, { signal }), notRecorded: null }
  } catch (error) {
    signal.throwIfAborted()
    // What was seen must be told even where it cannot be kept.
    if (!(error instanceof Fault)) throw error
    return { proof, id: null, notRecorded: error.message }
  }
}

/** Of several backups only the newest is restored: the others share most of what it has. */
function lower(level: VerificationLevel, subjects: number): VerificationLevel {
  return subjects > 1 && level > 2 ? 2 : level
}

function copyRequest(
  config: Config,
  context: CommandContext,
  commit: Commit,
  directory: string | undefined,
): CopyRequest {
  const { verification, node, postgres } = config
  const usual = verification.directory ?? join(node.stateDirectory, 'verify')
  return {
    installation: () => installationFor(config, context, { commit }),
    directory: directory === undefined ? usual : resolve(context.workingDirectory, directory),
    superuser: postgres.superuser.name,
    largestTables: verification.largestTables,
    checks: verification.checks,
    statementMs: verification.statementTimeout.ms,
    amcheckMs: verification.amcheckTimeout.ms,
  }
}

function resultDocument({ proof, id, notRecorded }: VerifyResult): object {
  const { format: _, kind: __, ...document } = proofToJson(proof)
  return { ...document, proof: id, notRecorded }
}
