import type { RestoreRequest } from '../../restore/core/plan.ts'
import { parseMoment } from '../../restore/core/target.ts'
import type { RecoveryTarget, TargetTimeline } from '../../restore/core/target.ts'
import { Fault } from '../../std/fault.ts'
import { parseLsn } from '../../wal/core/lsn.ts'
import type { TimelineId } from '../../wal/core/lsn.ts'
import { cliFaults } from '../faults.ts'

/** The options of `holdfast restore` that say where to. */
export interface TargetOptions {
  readonly backup: string | undefined
  readonly targetTime: string | undefined
  readonly targetLsn: string | undefined
  readonly targetXid: string | undefined
  readonly targetName: string | undefined
  readonly latest: boolean
  readonly immediate: boolean
  readonly before: boolean
  readonly timeline: string | undefined
}

/** What to plan for. Throws `cli-usage` for two targets, or one that cannot be read. */
export function restoreRequest(options: TargetOptions): RestoreRequest {
  return { target: readTarget(options), timeline: readTimeline(options.timeline), backupId: options.backup }
}

function readTarget(options: TargetOptions): RecoveryTarget {
  const inclusive = !options.before
  const given: (readonly [string, () => RecoveryTarget])[] = []
  const { targetTime, targetLsn, targetXid, targetName } = options
  if (targetTime !== undefined) given.push(['--target-time', () => readTime(targetTime, inclusive)])
  if (targetLsn !== undefined) given.push(['--target-lsn', () => readLsn(targetLsn, inclusive)])
  if (targetXid !== undefined) given.push(['--target-xid', () => readXid(targetXid, inclusive)])
  if (targetName !== undefined) given.push(['--target-name', () => ({ kind: 'name', name: targetName })])
  if (options.latest) given.push(['--latest', () => ({ kind: 'latest' })])
  if (options.immediate) given.push(['--immediate', () => ({ kind: 'immediate' })])
  const [first, second] = given
  if (second !== undefined)
    throw usage(`only one target can be given, not ${given.map(([name]) => name).join(' and ')}`)
  const target: RecoveryTarget = first === undefined ? { kind: 'latest' } : first[1]()
  if (options.before && !('inclusive' in target)) {
    throw usage('--before needs --target-time, --target-lsn or --target-xid')
  }
  return target
}

function readTime(text: string, inclusive: boolean): RecoveryTarget {
  const epochMicros = parseMoment(text)
  if (epochMicros !== undefined) return { kind: 'time', epochMicros, inclusive }
  throw usage(`--target-time ${text}: expected a moment with its time zone, like 2026-11-22 13:00:00+00`)
}

function readLsn(text: string, inclusive: boolean): RecoveryTarget {
  const lsn = parseLsn(text)
  if (lsn !== undefined) return { kind: 'lsn', lsn, inclusive }
  throw usage(`--target-lsn ${text}: expected a position like 0/3000148`)
}

function readXid(text: string, inclusive: boolean): RecoveryTarget {
  if (/^\d{1,20}$/.test(text)) return { kind: 'xid', xid: BigInt(text), inclusive }
  throw usage(`--target-xid ${text}: expected a number`)
}

function readTimeline(text: string | undefined): TargetTimeline {
  if (text === undefined || text === 'latest') return 'latest'
  if (text === 'current') return 'current'
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text) as TimelineId
  throw usage(`--timeline ${text}: expected a number, latest or current`)
}

function usage(reason: string): Fault {
  return new Fault(cliFaults['cli-usage'], `Cannot read the command line: ${reason}`, {
    hint: '`holdfast restore --help` explains the targets.',
  })
}
