import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { nobody, sameSync, sameVoters, votersFor } from './sync-set.ts'
import type { SyncSet, Voters } from './sync-set.ts'
import { nextSyncStep } from './sync-step.ts'

const nodes = ['a', 'b', 'c', 'd'] as const

/** One entry of WAL: the term that wrote it, and its place. Two logs with the same entry agree up to it. */
interface WalEntry {
  readonly term: number
  readonly place: number
}

/**
 * A cluster with the worst luck: every set in force may be the one that acknowledges, every standby may lag as it likes,
 * and any sufficient vote may be the one that is counted. Elections and promotions follow the same rules as the product.
 */
class ModelCluster {
  leader = 'a'
  term = 1
  voters: Voters = { names: ['a'], needed: 1 }
  inForce: SyncSet[] = [nobody]
  proven = true
  desired: SyncSet = nobody
  readonly logs = new Map<string, WalEntry[]>(nodes.map((node) => [node, []]))
  acknowledged: WalEntry[] = []

  log(node: string): WalEntry[] {
    return this.logs.get(node) ?? []
  }

  /** The leader writes an entry and the named standbys receive all it has; one that went another way is rewound first. */
  write(receivers: readonly string[]): void {
    const leader = this.log(this.leader)
    leader.push({ term: this.term, place: leader.length })
    for (const receiver of receivers) if (receiver !== this.leader) this.logs.set(receiver, [...leader])
  }

  /** Everything that any set in force lets through is acknowledged. */
  acknowledge(): void {
    for (const entry of this.log(this.leader)) {
      if (this.acknowledged.some((known) => same(known, entry))) continue
      if (this.inForce.some((sync) => this.satisfies(sync, entry))) this.acknowledged.push(entry)
    }
  }

  satisfies(sync: SyncSet, entry: WalEntry): boolean {
    return sync.names.filter((name) => this.log(name).some((own) => same(own, entry))).length >= sync.count
  }

  step(): void {
    const situation = {
      leader: this.leader,
      voters: this.voters,
      inForce: this.inForce,
      proven: this.proven,
      desired: this.desired,
    }
    const step = nextSyncStep(situation)
    if (step.step === 'publish') this.voters = step.voters
    if (step.step === 'apply' && !this.inForce.some((sync) => sameSync(sync, step.sync))) {
      this.inForce.push(step.sync)
    }
  }

  /** A commit under the newest set, seen on enough of its standbys: only now the older sets are out of force. */
  prove(receivers: readonly string[]): void {
    const newest = this.inForce.at(-1) ?? nobody
    this.write(receivers)
    const entry = this.log(this.leader).at(-1)
    if (entry === undefined || !this.satisfies(newest, entry)) return
    this.inForce = [newest]
    this.proven = true
  }

  /** The leader is lost, or comes back; whoever wins leads under a set that is safe with the recorded voters. */
  failOver(reporting: readonly string[], leaderReturns: boolean): void {
    this.acknowledge()
    const votes = this.voters.names.filter(
      (name) => reporting.includes(name) && (leaderReturns || name !== this.leader),
    )
    const winner = leaderReturns ? this.leader : votes.length >= this.voters.needed ? this.best(votes) : undefined
    if (winner === undefined) return
    this.leader = winner
    this.term += 1
    this.proven = false
    const others = this.voters.names.filter((name) => name !== winner)
    const initial: SyncSet = others.length === 0 ? nobody : { names: others, count: 1 }
    const step = nextSyncStep({ leader: winner, voters: this.voters, inForce: [], proven: false, desired: initial })
    if (step.step === 'publish') this.voters = step.voters
    this.inForce = [initial]
    this.desired = initial
  }

  best(votes: readonly string[]): string | undefined {
    return votes.toSorted((a, b) => rank(this.log(b)) - rank(this.log(a)))[0]
  }

  lost(): readonly WalEntry[] {
    return this.acknowledged.filter((entry) => !this.log(this.leader).some((own) => same(own, entry)))
  }
}

function same(a: WalEntry | undefined, b: WalEntry | undefined): boolean {
  return a !== undefined && b !== undefined && a.term === b.term && a.place === b.place
}

/** A later term before a longer log. */
function rank(log: readonly WalEntry[]): number {
  return (log.at(-1)?.term ?? 0) * 1_000_000 + log.length
}

const some = fc.subarray([...nodes])
const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), names: some }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('desire' as const), names: some, count: fc.integer({ min: 1, max: 2 }) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('prove' as const), names: some }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fail' as const), names: some, returns: fc.nat({ max: 9 }) }) },
)

describe('nextSyncStep', () => {
  it('never loses an acknowledged commit, whatever order steps, proofs, crashes and elections come in (L2)', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60, size: 'max' }), (actions) => {
        const cluster = new ModelCluster()
        for (const act of actions) {
          if (act.kind === 'write') cluster.write(act.names)
          if (act.kind === 'step') cluster.step()
          if (act.kind === 'prove') cluster.prove(act.names)
          if (act.kind === 'fail') cluster.failOver(act.names, act.returns === 0)
          if (act.kind === 'desire') {
            const names = act.names.filter((name) => name !== cluster.leader)
            cluster.desired = names.length === 0 ? nobody : { names, count: Math.min(act.count, names.length) }
          }
          cluster.acknowledge()
          assert.deepEqual(cluster.lost(), [])
        }
      }),
      { numRuns: 4000 },
    )
  })

  it('reaches what is desired in a few steps when every proof succeeds', () => {
    const sets = [
      nobody,
      set(['b'], 1),
      set(['b', 'c'], 1),
      set(['b', 'c'], 2),
      set(['c', 'd'], 1),
      set(['b', 'c', 'd'], 2),
    ]
    for (const from of sets) {
      for (const desired of sets) {
        let voters = votersFor(from, 'a')
        let inForce = [from]
        for (let round = 0; round < 5; round += 1) {
          const step = nextSyncStep({ leader: 'a', voters, inForce, proven: true, desired })
          if (step.step === 'publish') voters = step.voters
          if (step.step === 'apply') inForce = [step.sync]
        }
        assert.ok(
          inForce.every((sync) => sameSync(sync, desired)),
          JSON.stringify({ from, desired, inForce }),
        )
        assert.ok(sameVoters(voters, votersFor(desired, 'a')), JSON.stringify({ from, desired, voters }))
      }
    }
  })

  it('does not lower the vote after an election before a commit has proven the new set', () => {
    const voters = { names: ['b', 'c'], needed: 2 }
    const situation = { leader: 'b', voters, inForce: [set(['c'], 1)], desired: set(['c'], 1) }
    assert.deepEqual(nextSyncStep({ ...situation, proven: false }), { step: 'settled' })
    assert.deepEqual(nextSyncStep({ ...situation, proven: true }), {
      step: 'publish',
      voters: { names: ['c'], needed: 1 },
    })
  })

  function set(names: string[], count: number): SyncSet {
    return { names, count }
  }
})
