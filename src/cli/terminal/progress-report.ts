import type { CommandContext } from '../command.ts'
import { openProgressLine } from './progress-line.ts'

export interface ReportedProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
  readonly etaMs: number | undefined
}

const everyMs = 1000

/**
 * Shows how far some work is: a line on a terminal that is replaced, or, with --json, at most one JSON document a second
 * and one for each stage on standard error.
 */
export function openProgressReport({
  clock,
  output,
  json,
}: CommandContext): (stage: string, progress: ReportedProgress) => void {
  const lines = new Map<string, ReturnType<typeof openProgressLine>>()
  let last = { stage: '', at: Number.NEGATIVE_INFINITY }
  return (stage, { bytesDone, bytesTotal, etaMs }) => {
    if (json) {
      const now = clock.monotonic()
      if (last.stage === stage && now - last.at < everyMs) return
      last = { stage, at: now }
      output.note(JSON.stringify({ progress: { stage, bytesDone, bytesTotal, etaMs: etaMs ?? null } }))
      return
    }
    let line = lines.get(stage)
    if (line === undefined) lines.set(stage, (line = openProgressLine(clock)))
    output.progress(bytesTotal === 0 ? stage : line(bytesDone, bytesTotal, stage))
  }
}
