import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { readRecoveryEnd, recoverySettings } from './recovery-settings.ts'
import type { ExactTarget } from './recovery-settings.ts'

const timeline = 3 as TimelineId

test('exactly one target is set, after the others are emptied', () => {
  const targets: readonly (readonly [ExactTarget, string, string])[] = [
    [{ kind: 'immediate' }, 'recovery_target', 'immediate'],
    [{ kind: 'name', name: 'release' }, 'recovery_target_name', 'release'],
    [{ kind: 'xid', xid: 735n, inclusive: false }, 'recovery_target_xid', '735'],
    [{ kind: 'lsn', lsn: 0x300_0028n as Lsn, inclusive: true }, 'recovery_target_lsn', '0/3000028'],
    [
      { kind: 'time', epochMicros: 1_500_000n, inclusive: true },
      'recovery_target_time',
      '1970-01-01 00:00:01.500000+00',
    ],
  ]
  for (const [target, name, value] of targets) {
    const settings = recoverySettings({ restoreCommand: 'x', target, timeline, action: 'promote' })
    const set = Object.entries(settings).filter(([key]) => /^recovery_target(_lsn|_name|_time|_xid)?$/.test(key))
    assert.deepEqual(set.at(-1), [name, value])
    assert.deepEqual(new Set(set.slice(0, -1).map(([, other]) => other)), new Set(['']))
    assert.equal(set.length, 5)
    assert.equal(settings['recovery_target_inclusive'], 'inclusive' in target && !target.inclusive ? 'off' : 'on')
    assert.equal(settings['recovery_target_timeline'], '3')
  }
})

test('what a log says about the end of recovery', () => {
  const log = [
    '2026-11-22 14:11:00 UTC [7] LOG:  recovery stopping before commit of transaction 743, time 2026-11-22 14:11:00.1+00',
    '2026-11-22 14:11:00 UTC [7] FATAL:  recovery ended before configured recovery target was reached',
  ].join('\n')
  assert.equal(
    readRecoveryEnd(log).stoppedAt,
    'recovery stopping before commit of transaction 743, time 2026-11-22 14:11:00.1+00',
  )
  assert.equal(readRecoveryEnd(log).notReached, true)
  assert.equal(readRecoveryEnd('').notReached, false)
})
