import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackupFacts } from '../../repository/core/backup-facts.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { chooseParent, type ServerLineage } from './choose-parent.ts'

const lsn = (value: number): Lsn => BigInt(value) as Lsn
const timeline = (value: number): TimelineId => value as TimelineId

/** Timeline 3, which left timeline 1 at 500. */
const server: ServerLineage = {
  systemIdentifier: 7n,
  postgresVersion: 150018,
  pageChecksums: true,
  history: { timeline: timeline(3), ancestors: [{ timeline: timeline(1), switchLsn: lsn(500), reason: '' }] },
  lsn: lsn(900),
}

function backup(name: string, on: number, start: number, stop: number, over: Partial<BackupFacts> = {}) {
  const facts = { backup: name, timeline: timeline(on), startLsn: lsn(start), stopLsn: lsn(stop) }
  const same = { systemIdentifier: 7n, postgresVersion: 150010, pageChecksums: true }
  return { facts: { ...same, ...facts, ...over } as BackupFacts }
}

function chosen(...backups: ReturnType<typeof backup>[]): string {
  const result = chooseParent(backups, server)
  return 'full' in result ? result.full : result.parent.facts.backup
}

test('the newest backup of the server’s past', () => {
  assert.equal(chosen(backup('a', 1, 100, 200), backup('c', 3, 600, 700), backup('b', 1, 300, 400)), 'c')
})

test('a backup that ends beyond the fork has pages of a history that was lost, even if it began before', () => {
  assert.equal(chosen(backup('a', 1, 100, 200), backup('b', 1, 450, 501)), 'a')
  assert.equal(chosen(backup('b', 1, 450, 500)), 'b')
})

for (const [what, other] of [
  ['another timeline', backup('x', 2, 600, 700)],
  ['another system', backup('x', 1, 100, 200, { systemIdentifier: 8n })],
  ['another major version', backup('x', 1, 100, 200, { postgresVersion: 140010 })],
  ['the future of the server', backup('x', 3, 800, 901)],
] as const) {
  test(`a backup of ${what} is no parent`, () => {
    assert.equal(chosen(other), 'no-ancestor')
    assert.equal(chosen(backup('a', 1, 10, 20), other), 'a')
  })
}

test('backups from before page checksums were switched are no parents', () => {
  const off = { pageChecksums: false }
  assert.equal(chosen(backup('a', 1, 100, 200, off)), 'checksums-changed')
  assert.equal(chosen(backup('a', 1, 100, 200), backup('b', 1, 300, 400, off)), 'checksums-changed')
  assert.equal(chosen(backup('a', 1, 100, 200, off), backup('b', 1, 300, 400)), 'b')
})

test('the first backup of all is full', () => assert.equal(chosen(), 'first-of-cluster'))
