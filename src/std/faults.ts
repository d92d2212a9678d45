import { defineFaults } from './fault.ts'

/** Faults that belong to no subject: the machine, the program itself, the person at the keyboard. */
export const stdFaults = defineFaults({
  interrupted: {
    exitClass: 'interrupted',
    meaning: 'The operator or the system asked the command to stop before it was done.',
    hint: 'Nothing was lost; run the same command again.',
  },
  'deadline-passed': {
    exitClass: 'unreachable',
    meaning: 'Something did not answer, or made no progress, in the time it was given.',
    hint: 'Look at the named peer; `holdfast status` shows what is reachable.',
  },
  'disk-full': {
    exitClass: 'failed',
    meaning: 'A file system has no room left for what had to be written.',
    hint: 'Free space on the named file system and run the command again; what was written so far is kept or cleaned up.',
  },
  'command-failed': {
    exitClass: 'failed',
    meaning: 'A program that Holdfast ran ended with an error.',
    hint: 'Its last lines are in the message.',
  },
})
