import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  chooseInstallation,
  findInstallations,
  installationSearch,
  type Installation,
} from '../../postgres/installation.ts'
import { seededRandom } from '../../std/random.ts'
import type { CommandContext } from '../command.ts'
import { backupChapter } from './backup-chapter.ts'
import { createCheckList, DemoEnded, type CheckListener } from './check-list.ts'
import { clusterChapter } from './cluster-chapter.ts'
import { prepareDemoCluster, type DemoCluster } from './demo-cluster.ts'
import { onNode, shippedCommand, type DemoContext } from './demo-context.ts'
import { failoverChapter } from './failover-chapter.ts'
import { reportPage } from './report-page.ts'
import type { DemoReport, FailoverRecord, RestoreRecord } from './report.ts'
import { restoreChapter } from './restore-chapter.ts'
import { workloadChapter } from './workload-chapter.ts'

export interface DemoOptions {
  readonly seed: number
  /** Leave the cluster running, and its directory, for a look around. */
  readonly keep: boolean
  readonly major: number | undefined
  /** Where the report is written; it is made by the caller. */
  readonly reportDirectory: string
}

export interface DemoResult {
  readonly report: DemoReport
  readonly files: readonly string[]
  /** Where the cluster still runs, with `keep`. */
  readonly kept: DemoCluster | undefined
}

/** Runs the whole demo and writes its report. Whatever ends it, nothing is left running unless `keep` asked for it. */
export async function runDemo(
  options: DemoOptions,
  context: CommandContext,
  listener: CheckListener,
): Promise<DemoResult> {
  const { clock, signal } = context
  const startedAt = new Date(clock.wall())
  const startMs = clock.monotonic()
  const directory = await mkdtemp(join(tmpdir(), 'hf-demo-'))
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(directory, { recursive: true, force: true }))
  const installation = await demoInstallation(options.major, context)
  const cluster = cleanUp.use(
    await prepareDemoCluster({
      directory,
      program: context.program,
      environment: context.environment,
      major: installation.major,
      binDirectory: installation.binDirectory,
    }),
  )
  const list = createCheckList(clock, signal, listener)
  const command = shippedCommand(context.program, context.environment, signal)
  const demo: DemoContext = { cluster, list, clock, signal, random: seededRandom(options.seed), command, installation }
  const found = await runChapters(demo)
  const report: DemoReport = {
    holdfast: context.version,
    postgres: found.postgres,
    node: process.versions.node,
    machine: `${cpus().length} cores, ${process.platform} ${process.arch}`,
    seed: options.seed,
    startedAt: startedAt.toISOString(),
    tookMs: Math.round(clock.monotonic() - startMs),
    passed: list.checks.every((check) => check.passed) && found.complete,
    checks: list.checks,
    failovers: found.failovers,
    restore: found.restore,
  }
  const files = await writeReport(report, options.reportDirectory)
  const kept = options.keep ? cluster : undefined
  // Kept: the stack is forgotten, so that nothing is stopped or removed.
  if (options.keep) cleanUp.move()
  return { report, files, kept }
}

/** The embedded PostgreSQL, so that no installed one is needed or touched; an installed one where there is no other. */
async function demoInstallation(major: number | undefined, { environment }: CommandContext): Promise<Installation> {
  const search = installationSearch(environment, process.getuid?.() ?? 0)
  const found = await findInstallations(search)
  const embedded = found.find(
    (installation) => installation.source === 'embedded' && (major === undefined || installation.major === major),
  )
  return embedded ?? (await chooseInstallation(search, { major }))
}

interface Findings {
  readonly postgres: string
  readonly failovers: readonly FailoverRecord[]
  readonly restore: RestoreRecord | undefined
  /** Every chapter was gone through. */
  readonly complete: boolean
}

async function runChapters(demo: DemoContext): Promise<Findings> {
  let postgres = 'unknown'
  let failovers: FailoverRecord[] = []
  let restore: RestoreRecord | undefined
  try {
    await clusterChapter(demo)
    postgres = await serverVersion(demo)
    await using workload = await workloadChapter(demo)
    await backupChapter(demo)
    failovers = await failoverChapter(demo, workload)
    restore = await restoreChapter(demo)
    return { postgres, failovers, restore, complete: true }
  } catch (error) {
    if (!(error instanceof DemoEnded)) throw error
    return { postgres, failovers, restore, complete: false }
  }
}

async function serverVersion({ cluster }: DemoContext): Promise<string> {
  const [node] = cluster.nodes
  if (node === undefined) return 'unknown'
  const [row] = await onNode(node, (sql) => sql.query("select current_setting('server_version') as version"))
  return String(row?.['version'])
}

async function writeReport(report: DemoReport, directory: string): Promise<string[]> {
  const [page, json] = [join(directory, 'holdfast-demo.html'), join(directory, 'holdfast-demo.json')]
  await writeFile(page, reportPage(report))
  await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
  return [page, json]
}
