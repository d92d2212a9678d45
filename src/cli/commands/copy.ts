import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const copyCommand = defineCommand({
  name: 'copy',
  summary: 'bring the copies of the first repository up to date',
  description:
    'Copies what the other repositories of the configuration lack from the first: keys, WAL, backups and dumps, each object checked before it is copied. The agent of the leader does the same by itself all the time, so this is for when no agent runs, or to watch a long copy. It may be interrupted, run twice, or run beside the agent: it goes on from what is there.',
  options: {
    repository: {
      flag: '--repository <name>',
      about: 'the copy to bring up to date (default: all of them)',
      parse: asText,
    },
  },
  examples: [
    { command: 'holdfast copy', about: 'bring every copy up to date' },
    { command: 'holdfast copy --repository offsite', about: 'only this one' },
  ],
  exits: {
    ok: 'the copies have everything the first repository has',
    notFound: 'there is no first repository, or the place of a copy is missing',
    refused: 'the place of a copy holds another repository, or is that of the first',
    integrity: 'an object is damaged, or is another one in the copy; everything else was copied',
    unreachable: 'a repository does not answer',
  },
  run: async (context, { repository }) => {
    const { runCopy } = await import('../backups/run-copy.ts')
    const { config } = await loadContextConfig(context)
    return await runCopy(config, context, repository)
  },
})
