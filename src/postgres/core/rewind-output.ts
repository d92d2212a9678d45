import { parseLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/** What pg_rewind says it found. */
export type RewindResult =
  /** The target is a plain ancestor of the source and can just follow it. */
  | { readonly needed: false }
  | {
      readonly needed: true
      /** Where the two parted: everything the target has after it is not on the source. */
      readonly divergence: { readonly timeline: TimelineId; readonly lsn: Lsn }
      /** The checkpoint before it; blocks changed since then are copied. */
      readonly commonCheckpoint: { readonly timeline: TimelineId; readonly lsn: Lsn }
    }

/** Reads pg_rewind's English messages; undefined when they do not say how it went. Source: pg_rewind.c. */
export function parseRewindOutput(output: string): RewindResult | undefined {
  if (/no rewind required/.test(output)) return { needed: false }
  const divergence = position(/servers diverged at WAL location (\S+) on timeline (\d+)/.exec(output))
  const commonCheckpoint = position(/rewinding from last common checkpoint at (\S+) on timeline (\d+)/.exec(output))
  if (divergence === undefined || commonCheckpoint === undefined) return undefined
  return { needed: true, divergence, commonCheckpoint }
}

function position(match: RegExpExecArray | null): { timeline: TimelineId; lsn: Lsn } | undefined {
  const lsn = parseLsn(match?.[1] ?? '')
  return lsn === undefined ? undefined : { timeline: Number(match?.[2]) as TimelineId, lsn }
}
