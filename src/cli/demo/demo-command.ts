import { chown, copyFile, mkdir, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { ExitClass } from '../../std/fault.ts'
import { runsAsRoot, runUnprivileged } from '../../std/unprivileged.ts'
import type { CommandContext } from '../command.ts'
import type { CheckListener } from './check-list.ts'
import { formatMs } from './report.ts'
import { runDemo, type DemoResult } from './run-demo.ts'

export interface DemoCommandOptions {
  readonly seed: number | undefined
  readonly keep: boolean
  readonly major: number | undefined
  readonly report: string | undefined
}

/** Runs the demo, as `nobody` when we are root, and says what to try next. */
export async function demoCommand(context: CommandContext, options: DemoCommandOptions): Promise<ExitClass> {
  const reportDirectory = options.report ?? reportPlace(context)
  if (runsAsRoot()) return await demoAsNobody(context, options, reportDirectory)
  await mkdir(reportDirectory, { recursive: true })
  const seed = options.seed ?? Math.floor(Math.random() * 1_000_000)
  const result = await runDemo({ ...options, seed, reportDirectory }, context, listener(context))
  if (context.json) context.output.printJson(result.report)
  else context.output.print(epilogue(result, context.environment[shownPlace] ?? reportDirectory))
  return result.report.passed ? 'ok' : 'failed'
}

/** Names the directory where the report will be in the end, for the child that cannot write there. */
const shownPlace = 'HOLDFAST_REPORT_DIRECTORY'

function reportPlace({ environment, workingDirectory }: CommandContext): string {
  const scratch = environment['HOLDFAST_SCRATCH']
  return scratch === undefined ? workingDirectory : join(scratch, 'report')
}

/** The child writes its report where it may; we bring it to where the operator expects it. */
async function demoAsNobody(
  context: CommandContext,
  options: DemoCommandOptions,
  reportDirectory: string,
): Promise<ExitClass> {
  const flags = [
    'demo',
    ...(options.seed === undefined ? [] : ['--seed', String(options.seed)]),
    ...(options.major === undefined ? [] : ['--major', String(options.major)]),
    ...(options.keep ? ['--keep'] : []),
    ...(context.json ? ['--json'] : []),
  ]
  const code = await runUnprivileged({
    programRoot: dirname(dirname(context.program)),
    entry: context.program,
    arguments: flags,
    environment: { ...context.environment, [shownPlace]: reportDirectory },
    keep: options.keep,
    collect: async (scratch) => {
      await mkdir(reportDirectory, { recursive: true })
      const files = (await readdir(join(scratch, 'report')).catch(() => [])).filter((name) =>
        name.startsWith('holdfast-demo'),
      )
      for (const name of files) {
        await copyFile(join(scratch, 'report', name), join(reportDirectory, name))
        await chown(join(reportDirectory, name), 0, 0)
      }
    },
  })
  return code === 0 ? 'ok' : code === 130 ? 'interrupted' : 'failed'
}

function listener({ output, json }: CommandContext): CheckListener {
  const print = (text: string): void => (json ? output.note(text) : output.print(text))
  return {
    chapter: (title) => print(`\n${output.style('bold', title)}`),
    started: (title) => output.progress(`  … ${title}`),
    done: ({ passed, title, figure }) => {
      output.progress('')
      const mark = passed ? output.style('green', '✓') : output.style('red', '✗')
      print(`  ${mark} ${title}\n      ${output.style('dim', figure)}`)
    },
  }
}

function epilogue({ report, files, kept }: DemoResult, directory: string): string {
  const failed = report.checks.filter((check) => !check.passed).length
  const verdict = report.passed
    ? `All ${report.checks.length} checks passed in ${formatMs(report.tookMs)}.`
    : `${failed} of ${report.checks.length} checks failed.`
  const rto = report.failovers.map(
    (failover) =>
      `${failover.what}: RTO ${formatMs(failover.rtoMs)}, ${failover.lostRows ?? '?'} acknowledged rows lost`,
  )
  const next =
    kept === undefined
      ? [
          '  npm run demo -- --keep       leave the cluster running and look around',
          `  npm run demo -- --seed ${report.seed}   the same again`,
        ]
      : [
          `  the cluster still runs below ${kept.directory}`,
          `  holdfast status --config ${kept.nodes[0]?.configFile ?? ''}`,
        ]
  return [
    '',
    verdict,
    ...rto.map((line) => `  ${line}`),
    '',
    'Report:',
    ...files.map((file) => `  ${join(directory, basename(file))}`),
    '',
    'Next:',
    ...next,
  ].join('\n')
}
