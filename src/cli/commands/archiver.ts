import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const archiverCommand = defineCommand({
  name: 'archiver',
  hidden: true,
  summary: 'stream WAL into a repository; the agent of the leader runs it',
  description: 'Streams the WAL of this node into one repository until its standard input ends.',
  options: {
    repository: { flag: '--repository <name>', about: 'the repository', parse: asText },
  },
  examples: [{ command: 'holdfast archiver --repository local', about: 'started by the agent' }],
  exits: { ok: 'stopped in good order' },
  run: async (context, { repository }) => {
    const { runArchiverCommand } = await import('../agent/run-archiver-command.ts')
    const { config } = await loadContextConfig(context)
    await runArchiverCommand(config, context, repository)
    return 'ok'
  },
})
