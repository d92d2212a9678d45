import { defineFaults } from '../std/fault.ts'

export const coordinatorFaults = defineFaults({
  'coordinator-unreachable': {
    exitClass: 'unreachable',
    meaning: 'The coordinator did not answer in time, so nothing is known about the lease.',
    hint: 'Check that the coordinator runs and that its disk answers; a primary stops by itself when its lease ends.',
  },
  'coordinator-closed': {
    exitClass: 'bug',
    meaning: 'The coordinator was used after it had been closed.',
    hint: 'This is a bug in Holdfast; please report it with the message.',
  },
  'coordinator-misuse': {
    exitClass: 'bug',
    meaning: 'The coordinator was asked for something that has no defined meaning.',
    hint: 'This is a bug in Holdfast; please report it with the message.',
  },
  'coordinator-file-unusable': {
    exitClass: 'failed',
    meaning: 'The file of the embedded coordinator could not be created, opened or written.',
    hint: 'Check its directory, its owner and its permissions, and that it lies on a local file system.',
  },
  'coordinator-file-corrupt': {
    exitClass: 'integrity',
    meaning: 'The file of the embedded coordinator is damaged.',
    hint: 'Stop every node, move the file with its -wal and -shm away, and start the node that was the primary first.',
  },
  'coordinator-file-foreign': {
    exitClass: 'refused',
    meaning: 'The file named as embedded coordinator belongs to another program or to a newer Holdfast.',
    hint: 'Name another file, or use the version of Holdfast that wrote it.',
  },
  'coordinator-file-replaced': {
    exitClass: 'refused',
    meaning: 'The file of the embedded coordinator was removed or replaced while it was in use.',
    hint: 'Stop every node, put the right file back, and start the nodes again.',
  },
  'coordinator-boot-unknown': {
    exitClass: 'failed',
    meaning: 'The system does not tell which boot it is in, so a lease cannot be told from one before a restart.',
    hint: 'Run the embedded coordinator on Linux with /proc mounted or on macOS, or use etcd.',
  },
})
