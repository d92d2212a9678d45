import { defineFaults } from '../std/fault.ts'

export const cliFaults = defineFaults({
  'cli-usage': {
    exitClass: 'usage',
    meaning: 'The command line has an unknown command or option, or a value that cannot be used.',
    hint: '`holdfast help` lists the commands; `holdfast COMMAND --help` shows options and examples.',
  },
  'cli-no-repository': {
    exitClass: 'usage',
    meaning: 'A command needs a repository, and the configuration has none, or none of the given name.',
    hint: 'Add it to `repositories` in holdfast.yaml; `holdfast config reference repositories` explains the keys.',
  },
  'cli-repository-is-first': {
    exitClass: 'usage',
    meaning: 'The first repository of the configuration was named where a copy of it was meant.',
    hint: 'Name another of `repositories`; without `--repository` all of them are copied to.',
  },
  'cli-repository-is-copy': {
    exitClass: 'usage',
    meaning:
      'A copy was named where something was to be written, which only the first repository of the configuration takes.',
    hint: 'Leave `--repository` away; what is written to the first repository is copied to all others by itself.',
  },
  'cli-not-confirmed': {
    exitClass: 'refused',
    meaning: 'Something would be overwritten, and nobody said that it may be.',
    hint: 'Give --yes, or run the command at a terminal and answer its question.',
  },
  'cli-switchover-refused': {
    exitClass: 'refused',
    meaning: 'A switchover was asked for that cannot be done, or the leader called it off.',
    hint: 'Look at the standbys with `holdfast status`: the target must stream, be up to date, and be allowed to lead.',
  },
  'cli-switchover-pending': {
    exitClass: 'busy',
    meaning: 'Another switchover has been asked for and is not done yet.',
    hint: 'Wait until it is done or called off; `holdfast status` shows it.',
  },
  'cli-backup-elsewhere-busy': {
    exitClass: 'busy',
    meaning: 'A node is already being asked for a backup by somebody else.',
    hint: 'Wait until that backup is done, or take one of this node: `holdfast backup --from here`.',
  },
  'cli-backup-elsewhere-failed': {
    exitClass: 'failed',
    meaning: 'The node whose files were to be backed up could not do it.',
    hint: 'Its own words are in the message; `holdfast backup --from here` takes the backup of this node.',
  },
  'cli-backup-nowhere': {
    exitClass: 'unreachable',
    meaning: 'No node that runs is one that was asked for, or the one chosen does not answer.',
    hint: 'Look at `holdfast status`, or take the backup of this node: `holdfast backup --from here`.',
  },
  'cli-runs-as-root': {
    exitClass: 'refused',
    meaning: 'The agent was started as root, which PostgreSQL refuses to run as.',
    hint: 'Start it as the user that owns the data directory: `runuser -u postgres -- holdfast agent`.',
  },
  'cli-coordinator-absent': {
    exitClass: 'notFound',
    meaning: 'The file of the embedded coordinator does not exist, so no agent of this cluster has ever run here.',
    hint: 'Start `holdfast agent` on this machine, or correct coordinator.file.',
  },
  'cli-directory-unusable': {
    exitClass: 'usage',
    meaning: 'A directory that the node needs could not be made.',
    hint: 'Create the named directory and give it to the user Holdfast runs as; `holdfast check` looks at all of them.',
  },
  'cli-cluster-unreadable': {
    exitClass: 'integrity',
    meaning: 'An entry of the cluster in the coordinator cannot be understood.',
    hint: 'Use a version of Holdfast at least as new as the agents; otherwise somebody else wrote into the coordinator.',
  },
})
