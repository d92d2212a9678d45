import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ClusterStatus, NodeStatus } from '../../cluster/core/node-status.ts'
import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { healthStatusCode } from './health.ts'
import type { HealthQuery } from './health.ts'
import { clusterBody, historyBody, patroniBody } from './patroni-body.ts'

/** Rows of reference/ha.md §1.3. */

const megabyte = 1024n * 1024n
const view: ClusterStatus = {
  members: [],
  leader: 'n1',
  leaderLsn: (100n * megabyte) as Lsn,
  term: 3,
  history: [],
  switchover: null,
}

const standby: NodeStatus = {
  cluster: 'main',
  node: 'n2',
  agentVersion: '0.1.0',
  now: { wall: 1_700_000_000_000 as EpochMs, monotonic: 10_000 as MonotonicMs },
  role: 'standby',
  state: 'running',
  writableUntil: null,
  leaseTtlMs: 5000,
  lastCycleAt: 9900 as MonotonicMs,
  paused: false,
  systemIdentifier: 7_000_000_000_000_000_001n,
  serverVersionNumber: 170_004,
  postmasterStartedAt: 1_699_999_000_000 as EpochMs,
  timeline: 2 as TimelineId,
  positions: {
    written: null,
    received: (99n * megabyte) as Lsn,
    replayed: (98n * megabyte) as Lsn,
    replayedAt: 1_699_999_999_000 as EpochMs,
    replayPaused: false,
    latestEnd: (100n * megabyte) as Lsn,
  },
  replicationState: 'streaming',
  replication: [],
  durability: 'quorum',
  tags: { noFailover: false, noSync: false, noLoadBalance: false },
  labels: { disk: 'nvme' },
  view,
  coordinatorSeenAt: 1_700_000_000_000 as EpochMs,
}

const leader: NodeStatus = {
  ...standby,
  node: 'n1',
  role: 'primary',
  writableUntil: 10_001 as MonotonicMs,
  positions: {
    ...standby.positions,
    written: (100n * megabyte) as Lsn,
    received: null,
    replayed: null,
    latestEnd: null,
  },
  replicationState: null,
  durability: null,
}

function codes(status: NodeStatus, paths: readonly string[], query: HealthQuery = {}): readonly number[] {
  return paths.map((path) => healthStatusCode(path, query, status))
}

const primaryPaths = ['/', '/primary', '/read-write', '/master', '/leader']

describe('the leader', () => {
  test('answers 200 on every primary path, /read-only, /health, /readiness', () => {
    assert.deepEqual(codes(leader, primaryPaths), [200, 200, 200, 200, 200])
    const others = [
      '/read-only',
      '/read-only-sync',
      '/read-only-synchronous',
      '/read-only-quorum',
      '/health',
      '/readiness',
    ]
    assert.deepEqual(codes(leader, others), [200, 200, 200, 200, 200, 200])
  })

  test('answers 503 on standby paths', () => {
    const paths = ['/replica', '/standby-leader', '/standby_leader', '/sync', '/quorum', '/async']
    assert.deepEqual(codes(leader, paths), [503, 503, 503, 503, 503, 503])
  })

  test('answers 503 from the moment its lease ends, and before its term is committed', () => {
    const paths = [...primaryPaths, '/read-only', '/readiness']
    const ended = { ...leader, writableUntil: 10_000 as MonotonicMs }
    assert.deepEqual(new Set(codes(ended, paths)), new Set([503]))
    assert.deepEqual(new Set(codes({ ...leader, writableUntil: null }, paths)), new Set([503]))
  })

  test('without a view of the cluster: by its lease, and when paused by its role', () => {
    const blind = { ...leader, view: null, writableUntil: null }
    assert.equal(healthStatusCode('/primary', {}, blind), 503)
    assert.equal(healthStatusCode('/primary', {}, { ...blind, paused: true }), 200)
    assert.equal(healthStatusCode('/leader', {}, { ...blind, paused: true }), 503)
    assert.equal(healthStatusCode('/primary', {}, { ...standby, view: null, paused: true }), 503)
  })
})

describe('a standby', () => {
  test('answers 200 on /replica, /read-only, /health and where it counts, else 503', () => {
    assert.deepEqual(codes(standby, ['/replica', '/read-only', '/health']), [200, 200, 200])
    assert.deepEqual(codes(standby, primaryPaths), [503, 503, 503, 503, 503])
    const counted = [
      '/sync',
      '/synchronous',
      '/quorum',
      '/async',
      '/asynchronous',
      '/read-only-sync',
      '/read-only-quorum',
    ]
    assert.deepEqual(codes(standby, counted), [503, 503, 200, 503, 503, 503, 200])
    assert.deepEqual(codes({ ...standby, durability: 'sync' }, counted), [200, 200, 503, 503, 503, 200, 503])
    assert.deepEqual(codes({ ...standby, durability: 'async' }, counted), [503, 503, 503, 200, 200, 503, 503])
  })

  test('answers 503 on the counting paths without a view of the cluster', () => {
    assert.deepEqual(codes({ ...standby, view: null }, ['/quorum', '/read-only-quorum', '/replica']), [503, 503, 200])
  })

  test('answers 503 when not running or tagged noLoadBalance', () => {
    assert.deepEqual(codes({ ...standby, state: 'starting' }, ['/replica', '/read-only', '/health']), [503, 503, 503])
    const tagged = { ...standby, tags: { ...standby.tags, noLoadBalance: true } }
    assert.deepEqual(codes(tagged, ['/replica', '/read-only', '/health']), [503, 503, 200])
  })
})

describe('routing', () => {
  test('matches substrings in order, and what is unknown is 503', () => {
    assert.equal(healthStatusCode('/my/primary/check', {}, leader), 200)
    assert.equal(healthStatusCode('/leader/replica', {}, standby), 503)
    assert.equal(healthStatusCode('/replica/of/primary', {}, leader), 200, 'primary is looked for before replica')
    assert.equal(healthStatusCode('/standby-leader/primary', {}, leader), 503)
    assert.deepEqual(codes(leader, ['/nothing', '/metrics', '/sync/x']), [503, 503, 503])
  })

  test('the first part of the path chooses the information pages', () => {
    assert.deepEqual(codes(standby, ['/patroni', '/cluster', '/history', '/cluster/x']), [200, 200, 200, 200])
    assert.deepEqual(codes(standby, ['/config', '/failsafe']), [502, 502])
  })
})

describe('query parameters', () => {
  const replica = (query: HealthQuery, status = standby): number => healthStatusCode('/replica', query, status)

  test('lag: distance of the replayed position from the furthest known end', () => {
    assert.equal(replica({ lag: '2097152' }), 200)
    assert.equal(replica({ lag: '2MB' }), 200)
    assert.equal(replica({ lag: '2097151' }), 503)
    assert.equal(replica({ lag: '16kB' }), 503)
    assert.equal(replica({ lag: 'few' }), 200, 'what cannot be read is ignored')
    const ahead = { ...standby, positions: { ...standby.positions, latestEnd: (200n * megabyte) as Lsn } }
    assert.equal(replica({ lag: '2MB' }, ahead), 503)
    assert.equal(healthStatusCode('/read-only', { lag: '1' }, leader), 200)
  })

  test('replication_state', () => {
    assert.equal(replica({ replication_state: 'streaming' }), 200)
    const archive = { ...standby, replicationState: 'in archive recovery' as const }
    assert.equal(replica({ replication_state: 'streaming' }, archive), 503)
  })

  test('tags: compared as text, missing is 503, ignored on primary paths', () => {
    assert.equal(replica({ tag_disk: 'nvme' }), 200)
    assert.equal(replica({ tag_disk: 'hdd' }), 503)
    assert.equal(replica({ tag_rack: '7' }), 503)
    const tagged = { ...standby, tags: { ...standby.tags, noFailover: true } }
    assert.equal(replica({ tag_nofailover: 'true' }, tagged), 200)
    assert.equal(replica({ tag_nofailover: 'true' }), 503)
    assert.equal(healthStatusCode('/primary', { tag_rack: '7' }, leader), 200)
    assert.equal(healthStatusCode('/leader', { tag_rack: '7' }, leader), 200)
    assert.equal(healthStatusCode('/health', { tag_rack: '7' }, leader), 503)
  })
})

describe('/liveness', () => {
  test('a primary may be silent for one lease, a standby for two, a paused node for ever', () => {
    const since = (ms: number): MonotonicMs => (10_000 - ms) as MonotonicMs
    assert.equal(healthStatusCode('/liveness', {}, { ...leader, lastCycleAt: since(4999) }), 200)
    assert.equal(healthStatusCode('/liveness', {}, { ...leader, lastCycleAt: since(5000) }), 503)
    assert.equal(healthStatusCode('/liveness', {}, { ...standby, lastCycleAt: since(9999) }), 200)
    assert.equal(healthStatusCode('/liveness', {}, { ...standby, lastCycleAt: since(10_000) }), 503)
    assert.equal(healthStatusCode('/liveness', {}, { ...standby, lastCycleAt: since(99_999), paused: true }), 200)
  })
})

describe('/readiness', () => {
  const ready = (query: HealthQuery, status: NodeStatus): number => healthStatusCode('/readiness', query, status)

  test('a standby that streams and lags little', () => {
    assert.equal(ready({}, standby), 503, '2 MB are more than the default of 1 MB')
    assert.equal(ready({ lag: '2MB' }, standby), 200)
    assert.equal(ready({ lag: '1MB', mode: 'write' }, standby), 200, 'received is 1 MB behind')
    assert.equal(ready({ lag: '1MB', mode: 'apply' }, standby), 503)
    assert.equal(ready({ lag: '2MB' }, { ...standby, replicationState: null }), 503)
    assert.equal(ready({ lag: '2MB' }, { ...standby, state: 'starting' }), 503)
  })

  test('without a view of the cluster: only when the sender has told its end of WAL', () => {
    assert.equal(ready({ lag: '2MB' }, { ...standby, view: null }), 200)
    const deaf = { ...standby, view: null, positions: { ...standby.positions, latestEnd: null } }
    assert.equal(ready({ lag: '2MB' }, deaf), 503)
  })
})

describe('bodies have the field names of Patroni', () => {
  test('/patroni of a standby and of the leader', () => {
    assert.deepEqual(patroniBody(standby), {
      state: 'running',
      role: 'replica',
      postmaster_start_time: '2023-11-14T21:56:40.000Z',
      server_version: 170_004,
      xlog: {
        received_location: Number(99n * megabyte),
        replayed_location: Number(98n * megabyte),
        replayed_timestamp: '2023-11-14T22:13:19.000Z',
        paused: false,
      },
      timeline: 2,
      replication_state: 'streaming',
      quorum_standby: true,
      dcs_last_seen: 1_700_000_000,
      tags: { disk: 'nvme' },
      database_system_identifier: '7000000000000000001',
      patroni: { version: '0.1.0', scope: 'main', name: 'n2' },
    })
    const connection = {
      user: 'holdfast_replication',
      applicationName: 'n2',
      clientAddress: '10.0.0.2',
      state: 'streaming',
      syncState: 'quorum',
      syncPriority: 1,
    }
    const body = patroniBody({ ...leader, replication: [connection], view: null, paused: true }) as Record<
      string,
      unknown
    >
    assert.equal(body['role'], 'primary')
    assert.deepEqual(body['xlog'], { location: Number(100n * megabyte) })
    assert.equal(body['pause'], true)
    assert.equal(body['cluster_unlocked'], true)
    assert.deepEqual(body['replication'], [
      {
        usename: 'holdfast_replication',
        application_name: 'n2',
        client_addr: '10.0.0.2',
        state: 'streaming',
        sync_state: 'quorum',
        sync_priority: 1,
      },
    ])
  })

  test('/cluster and /history', () => {
    const common = {
      state: 'running',
      timeline: 2 as TimelineId,
      tags: standby.tags,
      apiUrl: 'http://a:8008',
      host: 'a',
    } as const
    const full: ClusterStatus = {
      ...view,
      members: [
        { ...common, name: 'n1', role: 'leader', port: 1, durability: null, received: null, replayed: null },
        {
          ...common,
          name: 'n2',
          role: 'standby',
          port: 2,
          durability: 'quorum',
          received: (99n * megabyte) as Lsn,
          replayed: null,
        },
      ],
      history: [
        {
          timeline: 1 as TimelineId,
          switchedAt: 25n as Lsn,
          reason: 'lease lost',
          at: 1_700_000_000_000 as EpochMs,
          newLeader: 'n1',
        },
      ],
    }
    const shared = { api_url: 'http://a:8008', host: 'a', timeline: 2 }
    assert.deepEqual(clusterBody({ ...standby, view: full }), {
      members: [
        { name: 'n1', role: 'leader', state: 'running', port: 1, ...shared },
        {
          name: 'n2',
          role: 'quorum_standby',
          state: 'streaming',
          port: 2,
          ...shared,
          receive_lsn: '0/6300000',
          receive_lag: Number(megabyte),
          replay_lsn: 'unknown',
          replay_lag: 'unknown',
          lsn: '0/6300000',
          lag: Number(megabyte),
        },
      ],
      scope: 'main',
    })
    assert.deepEqual(historyBody({ ...standby, view: full }), [[1, 25, 'lease lost', '2023-11-14T22:13:20.000Z', 'n1']])
  })
})
