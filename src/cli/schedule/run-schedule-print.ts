import { mkdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import type { LoadedConfig } from '../../config/load.ts'
import type { Job } from '../../schedule/job.ts'
import { printCron, printSystemd } from '../../schedule/print-schedules.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { configuredJobs } from './configured-jobs.ts'

/** Prints the schedules for cron or systemd, or writes the units into a directory. */
export async function runSchedulePrint(
  { file, config }: LoadedConfig,
  context: CommandContext,
  options: {
    readonly cron: boolean
    readonly systemd: boolean
    readonly user: string | undefined
    readonly to: string | undefined
  },
): Promise<'ok'> {
  const { output, clock, program, workingDirectory } = context
  if (options.cron === options.systemd) throw usage('either `--cron` or `--systemd` is needed')
  if (options.cron && options.to !== undefined) throw usage('`--to` goes with `--systemd`: a crontab is one file')
  const request = {
    cluster: config.cluster,
    jobs: configuredJobs(config),
    user: options.user ?? presentUser(),
    command: (job: Job) => [process.execPath, program, 'schedule', 'run', job.name, '--config', file],
    now: clock.wall(),
  }
  const files = options.cron ? new Map([[`holdfast-${config.cluster}`, printCron(request)]]) : printSystemd(request)
  if (options.to !== undefined) {
    const directory = resolve(workingDirectory, options.to)
    await mkdir(directory, { recursive: true })
    for (const [name, text] of files) await writeFile(join(directory, name), text)
  }
  if (context.json) output.printJson({ files: Object.fromEntries(files) })
  else if (options.to !== undefined) output.print([...files.keys()].join('\n'))
  else output.print([...files].map(([name, text]) => titled(options.cron, name, text)).join('\n\n'))
  if (config.schedules.runBy === 'agent') {
    output.note('the agent runs these jobs as well, until the configuration has `schedules: { runBy: system }`')
  }
  return 'ok'
}

function titled(cron: boolean, name: string, text: string): string {
  return `${cron ? '' : `# /etc/systemd/system/${name}\n`}${text.trimEnd()}`
}

function presentUser(): string {
  if (process.getuid?.() === 0) throw usage('this is root, which Holdfast never runs as: name the user with `--user`')
  return userInfo().username
}

function usage(what: string): Fault {
  return new Fault(cliFaults['cli-usage'], `Cannot print the schedules: ${what}`)
}
