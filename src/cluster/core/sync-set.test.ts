import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bridgingVoters, isSafe, votersFor } from './sync-set.ts'
import type { SyncSet, Voters } from './sync-set.ts'

const nodes = ['a', 'b', 'c', 'd']

function subsets(names: readonly string[]): string[][] {
  return names.reduce<string[][]>((sets, name) => [...sets, ...sets.map((set) => [...set, name])], [[]])
}

function syncSets(): SyncSet[] {
  return subsets(nodes).flatMap((names) =>
    names.length === 0 ? [{ names, count: 0 }] : names.map((_, index) => ({ names, count: index + 1 })),
  )
}

function allVoters(): Voters[] {
  return subsets(nodes).flatMap((names) => [1, 2, 3, 4].map((needed) => ({ names, needed })))
}

/** By the definition: every acknowledged commit is on the leader and some `count` of the set; every vote must meet one. */
function votesMeetAcknowledgements(voters: Voters, sync: SyncSet, leader: string): boolean {
  const acknowledgers = subsets(sync.names).filter((set) => set.length >= sync.count)
  const votes = subsets(voters.names).filter((set) => set.length >= voters.needed)
  return votes.every((vote) => acknowledgers.every((set) => vote.some((name) => name === leader || set.includes(name))))
}

describe('isSafe', () => {
  it('holds exactly when every vote contains a node that has every acknowledged commit (L2), for all sets of four', () => {
    for (const leader of nodes) {
      for (const sync of syncSets()) {
        if (sync.names.includes(leader)) continue
        for (const voters of allVoters()) {
          assert.equal(
            isSafe(voters, sync, leader),
            votesMeetAcknowledgements(voters, sync, leader),
            JSON.stringify({ voters, sync, leader }),
          )
        }
      }
    }
  })
})

describe('votersFor', () => {
  it('is safe, can be satisfied, and asks for no vote too many', () => {
    for (const sync of syncSets().filter((candidate) => !candidate.names.includes('a'))) {
      const voters = votersFor(sync, 'a')
      assert.ok(isSafe(voters, sync, 'a'))
      assert.ok(voters.needed <= voters.names.length)
      assert.ok(voters.needed === 1 || !isSafe({ ...voters, needed: voters.needed - 1 }, sync, 'a'))
    }
  })

  it('asks a set that names too few for one vote: nothing is acknowledged under it', () => {
    assert.deepEqual(votersFor({ names: ['b'], count: 2 }, 'a'), { names: ['b'], needed: 1 })
  })
})

describe('bridgingVoters', () => {
  it('is safe under every set it bridges', () => {
    for (const from of syncSets()) {
      for (const to of syncSets()) {
        if (from.names.includes('a') || to.names.includes('a')) continue
        const bridge = bridgingVoters(votersFor(from, 'a'), [from, to])
        assert.ok(isSafe(bridge, from, 'a') && isSafe(bridge, to, 'a'), JSON.stringify({ from, to, bridge }))
      }
    }
  })
})
