import { UsageError, asText, defineCommand } from '../command.ts'
import type { CommandGroup } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

const list = defineCommand({
  name: 'list',
  summary: 'show what the cluster does by itself: next runs, last runs, missed ones',
  description:
    'Shows every job of the `schedules` section: when it runs next, how its last run ended, how long it took and how much it stored or removed, and which runs were missed. `holdfast schedule` alone is the same.',
  options: {},
  examples: [
    { command: 'holdfast schedule list', about: 'all jobs' },
    { command: 'holdfast schedule --json | jq .problems', about: 'what is wrong with them, for scripts' },
  ],
  exits: {
    ok: 'shown, and nothing is wrong with them',
    degraded: 'a run is overdue, was missed, or failed',
    notFound: 'no agent of this cluster has run here',
    unreachable: 'the coordinator does not answer',
  },
  run: async (context) => {
    const { runSchedule } = await import('../schedule/run-schedule.ts')
    const { config } = await loadContextConfig(context)
    return await runSchedule(config, context)
  },
})

const run = defineCommand({
  name: 'run',
  summary: 'run a job now, if this node leads',
  description:
    'Runs a job as the agent would: only on the node that leads, not beside another run of the same job, with its outcome entered where `holdfast schedule` and `holdfast status` show it, and with what follows it. On any other node it does nothing and ends well, so that cron or systemd may call it on every node.',
  arguments: [{ syntax: '<job>', about: 'backup, expire, dump, verify or keyTest' }],
  options: {},
  examples: [
    { command: 'holdfast schedule run backup', about: 'a backup now, then the expiry that follows it' },
    { command: 'holdfast schedule run dump', about: 'dumps now, also with `schedules.dump.at: off`' },
  ],
  exits: {
    ok: 'it went well, or another node leads',
    degraded: 'it is done, but not all is well',
    failed: 'it failed; other exit codes are those of the command that it ran',
    busy: 'the job is being run',
    unreachable: 'the coordinator does not answer',
  },
  run: async (context, _options, [job = '']) => {
    const { runScheduleJob } = await import('../schedule/run-schedule-job.ts')
    return await runScheduleJob(await loadContextConfig(context), context, job)
  },
})

function parseUser(text: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(text)) throw new UsageError('the name of a user')
  return text
}

const print = defineCommand({
  name: 'print',
  summary: 'print the schedules for cron or systemd',
  description:
    'Prints the schedules as a file for /etc/cron.d or as services and timers of systemd, for those who want the system itself to begin the jobs. Each calls `holdfast schedule run`, so the same may be installed on every node. What follows a backup needs no schedule of its own. A schedule that would not mean the same there is refused. Set `schedules.runBy: system`, or the agent runs the jobs as well.',
  options: {
    cron: { flag: '--cron', about: 'as a file for /etc/cron.d' },
    systemd: { flag: '--systemd', about: 'as services and timers of systemd' },
    user: { flag: '--user <name>', about: 'who the jobs run as (default: you)', parse: parseUser },
    to: { flag: '--to <directory>', about: 'write the units of systemd there instead of printing them', parse: asText },
  },
  examples: [
    { command: 'holdfast schedule print --cron --user postgres', about: 'for /etc/cron.d/holdfast' },
    {
      command: 'holdfast schedule print --systemd --user postgres --to /etc/systemd/system',
      about: 'then: systemctl daemon-reload; systemctl enable --now holdfast-main-backup.timer',
    },
  ],
  exits: { ok: 'printed' },
  run: async (context, options) => {
    const { runSchedulePrint } = await import('../schedule/run-schedule-print.ts')
    return await runSchedulePrint(await loadContextConfig(context), context, options)
  },
})

export const scheduleCommands: CommandGroup = {
  name: 'schedule',
  summary: 'show, run and print what the cluster does by itself',
  description: 'Shows the jobs that the leader runs by itself, runs one now, or prints them for cron or systemd.',
  default: 'list',
  commands: [list, run, print],
}
