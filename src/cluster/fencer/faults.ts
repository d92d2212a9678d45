import { defineFaults } from '../../std/fault.ts'

export const fencerFaults = defineFaults({
  'fencer-not-started': {
    exitClass: 'failed',
    meaning: 'The fencer, the process that runs PostgreSQL, could not be started or did not answer.',
    hint: 'Look at fencer.log in the state directory; check its owner, its permissions and the free memory.',
  },
  'fencer-unreachable': {
    exitClass: 'unreachable',
    meaning: 'The fencer did not answer a command in time, or its connection ended.',
    hint: 'PostgreSQL is stopped when the fencer has died; the agent starts a new fencer by itself.',
  },
  'fencer-version': {
    exitClass: 'refused',
    meaning: 'The running fencer speaks a version of its protocol that this agent does not know.',
    hint: 'Fail over to another node, stop Holdfast on this one including its fencer, and start it again.',
  },
  'fencer-postgres-running': {
    exitClass: 'busy',
    meaning: 'PostgreSQL was to be started while a process of the one before is still running.',
    hint: 'Wait until it has ended, or stop it.',
  },
  'fencer-no-lease': {
    exitClass: 'refused',
    meaning: 'PostgreSQL was to be started as a primary without a valid lease.',
    hint: 'The agent starts a primary only after it has armed the fencer with a lease; nothing has to be done by hand.',
  },
  'fencer-postgres-not-started': {
    exitClass: 'failed',
    meaning: 'The fencer could not run the `postgres` program or open its log file.',
    hint: 'Check that the program exists and may be run, and that the log file may be written.',
  },
})
