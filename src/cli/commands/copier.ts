import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const copierCommand = defineCommand({
  name: 'copier',
  hidden: true,
  summary: 'keep a copy of the first repository; the agent of the leader runs it',
  description: 'Copies the first repository to another until its standard input ends.',
  options: {
    repository: { flag: '--repository <name>', about: 'the copy', parse: asText },
  },
  examples: [{ command: 'holdfast copier --repository offsite', about: 'started by the agent' }],
  exits: { ok: 'stopped in good order' },
  run: async (context, { repository }) => {
    const { runCopierCommand } = await import('../agent/run-copier-command.ts')
    const { config } = await loadContextConfig(context)
    await runCopierCommand(config, context, repository)
    return 'ok'
  },
})
