import { copyOnce, type CopyOutcome } from '../../backup/offsite/copy-once.ts'
import { openPacer } from '../../backup/offsite/pacer.ts'
import type { Config } from '../../config/schema.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { CommandContext } from '../command.ts'
import { chooseCopies, openConfiguredRoute } from '../open-configured.ts'
import { openProgressLine } from '../terminal/progress-line.ts'

interface Copied {
  readonly repository: string
  readonly outcome: CopyOutcome
  readonly elapsedMs: number
}

/** Brings the copies up to date, one after the other, and prints what came of it. */
export async function runCopy(
  config: Config,
  context: CommandContext,
  name: string | undefined,
): Promise<'ok' | 'integrity'> {
  const { clock, signal, output } = context
  const done: Copied[] = []
  for (const copy of chooseCopies(config, name)) {
    const startedAt = clock.monotonic()
    await using places = await openConfiguredRoute(config, copy, { clock, signal })
    const pace = openPacer(clock, copy.bandwidth?.bytes)
    const line = openProgressLine(clock)
    try {
      const outcome = await copyOnce(
        { ...places, cluster: config.cluster, clock, pace, signal },
        ({ copiedBytes, totalBytes }) => output.progress(line(copiedBytes, totalBytes, `copying to ${copy.name}`)),
      )
      done.push({ repository: copy.name, outcome, elapsedMs: clock.monotonic() - startedAt })
    } finally {
      output.progress('')
    }
  }
  if (context.json) output.printJson(done.map(copyDocument))
  else output.print(done.map(describeCopy).join('\n'))
  return done.every(({ outcome }) => outcome.problems.size === 0) ? 'ok' : 'integrity'
}

function copyDocument({ repository, outcome, elapsedMs }: Copied): object {
  const problems = [...outcome.problems].map(([subject, fault]) => ({ subject, ...fault.toJSON() }))
  return { repository, elapsedMs: Math.round(elapsedMs), ...outcome, problems }
}

function describeCopy({ repository, outcome, elapsedMs }: Copied): string {
  const { backups, copiedBytes, copiedObjects, problems } = outcome
  const what =
    copiedObjects === 0
      ? 'nothing to copy'
      : `${copiedObjects} objects, ${describeBytes(copiedBytes)} copied in ${describeElapsed(elapsedMs)}`
  return [
    `repository ${repository}: ${what}; it has ${backups.copied} of ${backups.listed} backups`,
    ...[...problems].map(([subject, fault]) => `! ${subject}: ${fault.message}\n    ${fault.hint}`),
  ].join('\n')
}
