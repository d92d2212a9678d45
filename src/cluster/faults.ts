import { defineFaults } from '../std/fault.ts'

export const clusterFaults = defineFaults({
  'cluster-agent-running': {
    exitClass: 'busy',
    meaning: 'Another agent already runs for the same state directory.',
    hint: 'Stop the other agent, or give this node a state directory of its own.',
  },
  'cluster-coordinator-changed': {
    exitClass: 'busy',
    meaning: 'A write to the coordinator was refused because another node had changed what it rested on.',
    hint: 'Nothing has to be done: the agent looks again and decides anew.',
  },
  'cluster-promotion-failed': {
    exitClass: 'failed',
    meaning: 'A standby that had won the lease did not become a primary.',
    hint: 'Look at the log of PostgreSQL; the agent tries again or leaves the lease to another node.',
  },
  'cluster-start-failed': {
    exitClass: 'failed',
    meaning: 'PostgreSQL ended before it accepted connections.',
    hint: 'Look at the last lines of its log, which are in the message.',
  },
  'cluster-rewind-failed': {
    exitClass: 'failed',
    meaning: 'A node whose data had left the history of the leader could not be rewound.',
    hint: 'Nothing has to be done: the agent clones the leader instead; the divergent WAL has been kept.',
  },
  'cluster-switchover-failed': {
    exitClass: 'failed',
    meaning: 'A switchover was called off because its target did not have everything in time; the old leader goes on.',
    hint: 'Check the lag of the target with `holdfast status`, then ask again.',
  },
  'cluster-lease-refused': {
    exitClass: 'refused',
    meaning: 'The fencer did not accept a lease, so this node must not act as the leader.',
    hint: 'Nothing has to be done: the lease is given up and PostgreSQL stops.',
  },
})
