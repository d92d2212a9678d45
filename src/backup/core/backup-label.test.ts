import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBackupLabel } from './backup-label.ts'

const captured = `START WAL LOCATION: 16/B3000028 (file 0000000300000016000000B3)
CHECKPOINT LOCATION: 16/B3000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 14:30:00 CET
LABEL: holdfast START TIMELINE: 9
START TIMELINE: 3
`

test('reads a label of a real server', () => {
  assert.deepEqual(parseBackupLabel(captured), { startLsn: 0x16_b3000028n, timeline: 3, from: 'primary' })
})

test('refuses what is no label', () => {
  for (const line of ['START WAL', 'BACKUP FROM', 'START TIMELINE']) {
    const without = captured
      .split('\n')
      .filter((each) => !each.startsWith(line))
      .join('\n')
    assert.equal(parseBackupLabel(without), undefined, line)
  }
})
