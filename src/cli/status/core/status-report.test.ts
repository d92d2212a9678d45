import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MemberEntry, StateEntry } from '../../../cluster/core/keys.ts'
import type { EpochMs } from '../../../std/clock.ts'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'
import { renderStatus } from '../render-status.ts'
import { nextLeader, reportStatus } from './status-report.ts'
import type { AgentAnswer, ArchiverAnswer, StatusFacts } from './status-report.ts'

const lsn = (value: number): Lsn => BigInt(value) as Lsn
const now = 1_700_000_000_000 as EpochMs
const timeline = 2 as TimelineId

function member(node: string, change: Partial<MemberEntry> = {}): MemberEntry {
  return {
    node,
    host: 'h',
    port: 5432,
    apiUrl: `http://${node}:8008`,
    role: 'standby',
    state: 'streaming',
    timeline,
    flushLsn: lsn(1000),
    replayLsn: lsn(1000),
    frozenForTerm: null,
    eligible: true,
    priority: 100,
    site: null,
    tags: { noFailover: false, noSync: false, noLoadBalance: false },
    systemIdentifier: '1',
    major: 17,
    oldestLsn: null,
    agentVersion: '0.1.0',
    trouble: null,
    ...change,
  }
}

const state: StateEntry = {
  term: 4,
  leader: 'n1',
  promoted: true,
  lineage: { timeline, left: [] },
  reservedTimeline: timeline,
  mode: 'quorum',
  voters: { names: ['n2', 'n3'], needed: 2 },
  degraded: null,
  preferred: null,
}

function answer(change: Partial<Extract<AgentAnswer, { answered: true }>> = {}): AgentAnswer {
  return {
    answered: true,
    writable: false,
    position: null,
    received: lsn(1000),
    replayed: lsn(1000),
    replayedAt: (now - 250) as EpochMs,
    streaming: true,
    syncStates: {},
    copiers: null,
    archivers: null,
    ...change,
  }
}

const archivers = { local: { state: 'streaming', tailAgeMs: 400, gaps: [], error: null } }
const syncStates = { n2: 'quorum', n3: 'quorum' }

const healthy: StatusFacts = {
  cluster: 'main',
  now,
  entries: {
    leader: { node: 'n1', term: 4 },
    state,
    members: [member('n1', { role: 'primary', state: 'running' }), member('n2'), member('n3', { flushLsn: lsn(900) })],
    switchover: null,
    pause: null,
  },
  answers: new Map([
    [
      'n1',
      answer({
        writable: true,
        position: lsn(1000),
        received: null,
        replayed: null,
        replayedAt: null,
        syncStates,
        archivers,
      }),
    ],
    ['n2', answer()],
    ['n3', answer({ received: lsn(900), replayed: lsn(800) })],
  ]),
  jobs: [],
  jobsUnreadable: null,
  repositories: [
    {
      name: 'local',
      copyOf: null,
      readable: true,
      backups: 2,
      damaged: [],
      proofs: {
        lastProven: { level: 2, at: now, backup: 'b2', provenTime: null },
        provenAt: { 0: now, 1: now, 2: now, 3: null, 4: null },
        lastVerification: { at: now, backup: 'b2', outcome: 'passed', requested: 2, proven: 2 },
        lastKeyTest: { at: now, passed: true },
      },
      last: {
        id: 'b2',
        startedAt: (now - 70_000) as EpochMs,
        stoppedAt: (now - 3_600_000) as EpochMs,
        dataBytes: 1024,
      },
      archivedTo: lsn(990),
    },
  ],
}

test('a healthy cluster: positions, lag, sync state, who is next, how far the archive is', () => {
  const report = reportStatus(healthy)
  assert.deepEqual([report.verdict, report.problems, report.acceptsWrites], ['healthy', [], true])
  assert.equal(report.next.node, 'n2')
  assert.deepEqual(
    report.nodes.map(({ name, role, lagBytes, lagMs, sync }) => ({ name, role, lagBytes, lagMs, sync })),
    [
      { name: 'n1', role: 'leader', lagBytes: null, lagMs: null, sync: null },
      { name: 'n2', role: 'standby', lagBytes: 0, lagMs: 0, sync: 'quorum' },
      { name: 'n3', role: 'standby', lagBytes: 100, lagMs: 250, sync: 'quorum' },
    ],
  )
  assert.equal(report.repositories[0]?.tailBytes, 10)
})

describe('what is not observed is not claimed', () => {
  test('L11, a silent leader: whether it accepts writes is unknown, and so are lags in time', () => {
    const answers = new Map<string, AgentAnswer>(
      ['n1', 'n2', 'n3'].map((node) => [node, { answered: false, because: 'refused' }]),
    )
    const report = reportStatus({ ...healthy, answers })
    assert.equal(report.acceptsWrites, 'unknown')
    assert.equal(report.verdict, 'degraded')
    const n3 = report.nodes.find((node) => node.name === 'n3')
    assert.deepEqual([n3?.lagMs, n3?.sync, n3?.lagBytes], [null, null, 100])
  })

  test('an unreadable repository is a problem, not an empty one', () => {
    const report = reportStatus({
      ...healthy,
      repositories: [{ name: 'local', copyOf: null, readable: false, because: 'wrong key' }],
    })
    assert.deepEqual(report.problems, ['repository local cannot be read: wrong key'])
    assert.match(
      renderStatus(report, now, (_, text) => text),
      /backups {4}local: wrong key/,
    )
  })
})

describe('down', () => {
  test('no leader', () => {
    const report = reportStatus({ ...healthy, entries: { ...healthy.entries, leader: null } })
    assert.deepEqual([report.verdict, report.acceptsWrites], ['down', false])
  })

  test('a leader that is not ready for clients', () => {
    const answers = new Map([...healthy.answers, ['n1', answer({ writable: false })]] as const)
    assert.equal(reportStatus({ ...healthy, answers }).verdict, 'down')
  })

  test('a cluster that does not exist yet', () => {
    const entries = { leader: null, state: null, members: [], switchover: null, pause: null }
    const report = reportStatus({ ...healthy, entries, answers: new Map(), repositories: [] })
    assert.deepEqual(report.problems, ['the cluster does not exist yet: no node has founded it'])
  })
})

describe('degraded', () => {
  const problemsWith = (entries: Partial<StatusFacts['entries']>): readonly string[] =>
    reportStatus({ ...healthy, entries: { ...healthy.entries, ...entries } }).problems

  test('a voter whose agent is gone', () => {
    assert.deepEqual(problemsWith({ members: healthy.entries.members.slice(0, 2) }), [
      'nobody could take over from the leader now',
      'n3 is gone: its agent has not renewed its entry',
    ])
  })

  test('a node in trouble, a pause, a recorded downgrade', () => {
    const members = [...healthy.entries.members.slice(0, 2), member('n3', { trouble: 'foreign data directory' })]
    assert.deepEqual(problemsWith({ members }), ['n3: foreign data directory'])
    assert.deepEqual(problemsWith({ pause: { since: now, because: 'upgrade' } }), [
      'automatic failover is paused: upgrade',
    ])
    const degraded = { at: now, lsn: lsn(5), because: 'no standby is left' }
    assert.deepEqual(problemsWith({ state: { ...state, degraded } }), ['durability is reduced: no standby is left'])
  })
})

describe('an archive that does not keep up is a problem', () => {
  const leaderWith = (archivers: Readonly<Record<string, ArchiverAnswer>>): readonly string[] => {
    const leader = answer({ writable: true, position: lsn(1000), syncStates, archivers })
    return reportStatus({ ...healthy, answers: new Map([...healthy.answers, ['n1', leader]] as const) }).problems
  }

  test('no archiver, one that retries, one that lost WAL', () => {
    assert.deepEqual(leaderWith({}), ['repository local: no archiver runs, so WAL does not reach it'])
    const retrying = { state: 'retrying', tailAgeMs: 9000, gaps: [], error: { message: 'no space' } }
    assert.deepEqual(leaderWith({ local: retrying }), ['repository local: the archiver is retrying: no space'])
    const gap = { timeline: 1, startLsn: '0/1', endLsn: '0/2' }
    assert.deepEqual(leaderWith({ local: { ...archivers.local, gaps: [gap] } }), [
      'repository local: WAL from 0/1 to 0/2 of timeline 1 is lost to it; take a new backup',
    ])
  })
})

describe('who takes over next is asked of the election itself', () => {
  test('most WAL first, then priority', () => {
    const equal = [healthy.entries.members[0] as MemberEntry, member('n2'), member('n3', { priority: 200 })]
    assert.equal(nextLeader({ ...healthy.entries, members: equal }).node, 'n3')
  })

  test('nobody, with the reason', () => {
    const alone = { ...state, voters: { names: ['n1'], needed: 1 } }
    const { node, because } = nextLeader({ ...healthy.entries, state: alone })
    assert.equal(node, null)
    assert.match(because, /n2: this node was not in the durability set/)
  })
})

test('a verification or a key test that failed is a problem until one passes', () => {
  const [repository] = healthy.repositories
  assert.ok(repository?.readable)
  const proofs = {
    ...repository.proofs,
    lastVerification: { at: now, backup: 'b1', outcome: 'failed', requested: 4, proven: 1 } as const,
    lastKeyTest: { at: now, passed: false },
  }
  const report = reportStatus({ ...healthy, repositories: [{ ...repository, proofs }] })
  assert.equal(report.verdict, 'degraded')
  assert.match(report.problems.join('\n'), /last verification found backup b1 broken \(level 4\)\n.*key did not pass/)
  // What could not be looked at in full is no damage.
  const incomplete = {
    ...repository.proofs,
    lastVerification: { ...proofs.lastVerification, outcome: 'incomplete' } as const,
  }
  assert.equal(reportStatus({ ...healthy, repositories: [{ ...repository, proofs: incomplete }] }).verdict, 'healthy')
})
