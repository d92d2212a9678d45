import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemberEntry } from '../../../../cluster/core/keys.ts'
import type { Lsn, TimelineId } from '../../../../wal/core/lsn.ts'
import { type BackupFrom, chooseBackupNode } from './choose-node.ts'

const megabyte = 1024 * 1024

function member(node: string, over: Partial<MemberEntry> & { readonly behind?: number } = {}): MemberEntry {
  const lsn = BigInt(1000 * megabyte - (over.behind ?? 0) * megabyte) as Lsn
  return {
    node,
    host: node,
    port: 5432,
    apiUrl: null,
    role: 'standby',
    state: 'streaming',
    timeline: 3 as TimelineId,
    flushLsn: lsn,
    replayLsn: lsn,
    frozenForTerm: null,
    eligible: true,
    priority: 0,
    site: null,
    tags: { noFailover: false, noSync: false, noLoadBalance: false },
    systemIdentifier: '7',
    major: 18,
    oldestLsn: null,
    agentVersion: '1',
    trouble: null,
    ...over,
  }
}

const primary = member('p', { role: 'primary', state: 'running', replayLsn: null })
const never = { noFailover: true, noSync: false, noLoadBalance: false }

const rows: readonly (readonly [string, readonly MemberEntry[], BackupFrom, string])[] = [
  ['a standby rather than the primary', [primary, member('a')], 'standby', 'a'],
  [
    'the one that is least behind',
    [member('a', { behind: 100 }), member('b', { behind: 20 }), primary],
    'standby',
    'b',
  ],
  ['by name where they are equally near', [member('b'), member('a', { behind: 3 }), primary], 'standby', 'a'],
  ['one that never leads first', [member('a'), member('b', { behind: 90, tags: never }), primary], 'standby', 'b'],
  ['the primary where a standby is far behind', [member('a', { behind: 300 }), primary], 'standby', 'p'],
  ['or does not stream', [member('a', { state: 'cloning' }), primary], 'standby', 'p'],
  ['or is in trouble', [member('a', { trouble: 'disk' }), primary], 'standby', 'p'],
  ['or is on another timeline', [member('a', { timeline: 2 as TimelineId }), primary], 'standby', 'p'],
  ['a standby even while nobody leads', [member('a')], 'standby', 'a'],
  ['the primary when it is wanted', [primary, member('a')], 'primary', 'p'],
  ['the node that is named', [primary, member('a'), member('b')], { node: 'b' }, 'b'],
]

for (const [what, members, from, expected] of rows) {
  test(what, () => assert.deepEqual(chooseBackupNode(members, from), { node: expected }))
}

test('says why there is no node', () => {
  assert.ok('none' in chooseBackupNode([member('a')], 'primary'))
  assert.ok('none' in chooseBackupNode([primary], { node: 'z' }))
  assert.ok('none' in chooseBackupNode([], 'standby'))
})
