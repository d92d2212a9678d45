import { formatLsn } from '../../wal/core/lsn.ts'
import type { TimelineId } from '../../wal/core/lsn.ts'
import { formatMicros } from './target.ts'
import type { RecoveryTarget } from './target.ts'

/** What becomes of the server when the target is met. */
export type RecoveryAction = 'pause' | 'promote' | 'shutdown'

/** `latest` is not among them: it is first made into the position of the last record. */
export type ExactTarget = Exclude<RecoveryTarget, { readonly kind: 'latest' }>

/**
 * The settings of one recovery. All targets but the one are set to nothing, in case the restored files have others, and
 * before it: PostgreSQL refuses to empty one target after another was set.
 */
export function recoverySettings(recovery: {
  readonly restoreCommand: string
  readonly target: ExactTarget
  readonly timeline: TimelineId
  readonly action: RecoveryAction
}): Readonly<Record<string, string>> {
  const { target } = recovery
  const [name, value] = targetSetting(target)
  const others = targetNames.filter((other) => other !== name).map((other) => [other, ''])
  return {
    restore_command: recovery.restoreCommand,
    ...Object.fromEntries(others),
    [name]: value,
    recovery_target_inclusive: 'inclusive' in target && !target.inclusive ? 'off' : 'on',
    recovery_target_timeline: String(recovery.timeline),
    recovery_target_action: recovery.action,
    // Readers are only needed to look around while paused; without them no parameter can be too small to go on.
    hot_standby: recovery.action === 'pause' ? 'on' : 'off',
  }
}

const targetNames = [
  'recovery_target',
  'recovery_target_lsn',
  'recovery_target_name',
  'recovery_target_time',
  'recovery_target_xid',
] as const

function targetSetting(target: ExactTarget): readonly [(typeof targetNames)[number], string] {
  switch (target.kind) {
    case 'immediate':
      return ['recovery_target', 'immediate']
    case 'name':
      return ['recovery_target_name', target.name]
    case 'xid':
      return ['recovery_target_xid', target.xid.toString()]
    case 'lsn':
      return ['recovery_target_lsn', formatLsn(target.lsn)]
    case 'time':
      return ['recovery_target_time', formatMicros(target.epochMicros)]
    default:
      return target satisfies never
  }
}

/** What a server's log says about the end of a recovery. */
export interface RecoveryEnd {
  /** PostgreSQL's own words: `recovery stopping before commit of transaction 743, time 2026-11-22 14:11:00.1+00`. */
  readonly stoppedAt: string | undefined
  readonly notReached: boolean
  readonly tooEarly: boolean
  readonly parametersTooSmall: boolean
  readonly diskFull: boolean
  readonly shutDownAtTarget: boolean
}

/** Reads a log written with lc_messages = C. */
export function readRecoveryEnd(log: string): RecoveryEnd {
  return {
    stoppedAt: /LOG: {2}(recovery stopping (?:before|after)\b[^\n]*)/.exec(log)?.[1],
    notReached: log.includes('recovery ended before configured recovery target was reached'),
    tooEarly: log.includes('requested recovery stop point is before consistent recovery point'),
    parametersTooSmall: log.includes('because of insufficient parameter settings'),
    diskFull: /No space left on device|Disk quota exceeded/.test(log),
    shutDownAtTarget: log.includes('shutdown at recovery target'),
  }
}
