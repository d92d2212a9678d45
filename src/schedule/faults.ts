import { defineFaults } from '../std/fault.ts'

export const scheduleFaults = defineFaults({
  'schedule-job-unknown': {
    exitClass: 'usage',
    meaning: 'A job was named that the configuration does not have.',
    hint: '`holdfast schedule` shows the jobs; without a repository there is none.',
  },
  'schedule-job-running': {
    exitClass: 'busy',
    meaning: 'A job was asked for that is being run.',
    hint: 'Wait until it has ended; `holdfast schedule` shows it.',
  },
  'schedule-leader-changed': {
    exitClass: 'failed',
    meaning: 'While a job was run by a command, another node became the leader, or the run was taken for dead.',
    hint: 'The job was ended; run it again on the node that leads now.',
  },
  'schedule-not-printable': {
    exitClass: 'usage',
    meaning: 'A schedule cannot be written for cron or for systemd so that it means the same there.',
    hint: 'Write it in another way, or leave it to the agent with `schedules.runBy: agent`.',
  },
})
