/**
 * Every rule a decision can rest on. The ids are stable: they stand in logs, events, the dashboard and
 * `docs/design/failover.md`, which explains each. A new rule gets a new id; an abandoned id is not used again.
 */
export const rules = {
  'HA-001': 'The agent was asked to end: stop PostgreSQL cleanly, then give the lease to whoever is left.',
  'HA-002': 'A task is under way: nothing else is begun until it ends.',
  'HA-003': 'The data directory belongs to another cluster: nothing is started and nothing is touched.',
  'HA-004':
    'The data directory cannot be used or belongs to another major release: nothing is started and nothing is touched.',
  'HA-005': 'The coordinator does not answer: a leader goes on until its lease ends, a standby stays what it is.',
  'HA-006': 'A key in the coordinator cannot be read: nothing is decided on what is not understood.',
  'HA-007': 'The cluster is paused: no node is promoted, restarted or re-created.',
  'HA-010': 'No cluster exists and this node has no data: claim its founding.',
  'HA-011': 'The founding is claimed by this node: create the database cluster.',
  'HA-012': 'The database cluster is created: take the first lease and make the founding final.',
  'HA-013': 'Another node founds the cluster: wait for it.',
  'HA-014': 'Data exists, but no cluster is known that it belongs to: nothing is touched.',
  'HA-020': 'The lease is gone: this standby cuts itself off from WAL before it says what it holds.',
  'HA-021': 'The lease is gone and this node led last: it has every acknowledged commit and takes the lease back.',
  'HA-022': 'The lease is gone: enough voters have reported and none holds more than this node, which takes the lease.',
  'HA-023': 'The lease is gone, but this node must not or cannot take it now.',
  'HA-024': 'The lease is gone and PostgreSQL is stopped: start it cut off from WAL, to learn what it holds.',
  'HA-025': 'The data of this node does not descend from the last known timeline: it has no vote (L3).',
  'HA-030': 'PostgreSQL runs as a primary without a lease of this node: stop it.',
  'HA-031': 'The leader of this term is not a primary yet: wait for it.',
  'HA-032': 'A leader exists and PostgreSQL is stopped: start it as a standby that follows nobody yet.',
  'HA-033': "The data of this standby is part of the leader's history: follow the leader.",
  'HA-034': "The data of this node has left the leader's history: keep what is different, then go back to the fork.",
  'HA-035': 'The data of this node cannot be brought back: clone the leader anew.',
  'HA-036': 'This standby follows the leader.',
  'HA-037': 'This node has no data: clone the leader.',
  'HA-038': 'The leader has removed WAL that this standby still needs: clone it anew.',
  'HA-039': 'Slots on a standby would hold WAL for ever: remove them.',
  'HA-040': 'This node leads and is a standby: promote it, with the durability set in force before the first commit.',
  'HA-041': 'Before the promotion the recorded voters are changed so that no vote can miss a commit.',
  'HA-042': 'This node was promoted: make slots for the others and publish its timeline, so that they can follow.',
  'HA-043': 'Prove with a committed row that this term can write; only then clients are sent here.',
  'HA-044': 'This node leads: it renews its lease and serves.',
  'HA-045': 'Every member has a slot on the leader; slots of nodes that are gone are removed.',
  'HA-050': 'Put another durability set in force and prove it with a commit.',
  'HA-051': 'Publish who has to vote, before or after the durability set changes.',
  'HA-052': 'No standby is left: with durability `quorum` commits go on without one, and the downgrade is recorded.',
  'HA-060':
    'PostgreSQL died on the leader, and a standby is forecast to take over sooner than a restart: give up the lease.',
  'HA-061':
    'PostgreSQL died on the leader, and a restart is forecast to be sooner, or nobody else is there: restart it.',
  'HA-062': 'PostgreSQL keeps dying on the leader: give up the lease to a standby.',
  'HA-063': 'PostgreSQL on the leader does not answer any more: stop it and give up the lease to a standby.',
  'HA-064': 'PostgreSQL is starting: wait for it.',
  'HA-070': 'A switchover was asked for and can be done: hand over.',
  'HA-071': 'A switchover was asked for and cannot be done.',
} as const satisfies Readonly<Record<string, string>>

export type RuleId = keyof typeof rules
