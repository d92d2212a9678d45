import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const dumpsCommand = defineCommand({
  name: 'dumps',
  summary: 'list the portable dumps in the repositories',
  description:
    'Lists the dumps of this cluster that `holdfast dump` put into a repository: when, of what, how large, how many tables. Dumps whose record cannot be read, or of which something is missing, are named.',
  options: {
    repository: { flag: '--repository <name>', about: 'the repository to read (default: all of them)', parse: asText },
  },
  examples: [{ command: 'holdfast dumps', about: 'what `holdfast load` can load from a repository' }],
  exits: {
    ok: 'listed',
    notFound: 'there is no repository, or it holds no dump',
    refused: 'the key does not open the repository',
    integrity: 'a dump is damaged or incomplete',
    unreachable: 'a repository does not answer',
  },
  run: async (context, options) => {
    const { runDumps } = await import('../dumps/run-dumps.ts')
    const { config } = await loadContextConfig(context)
    return await runDumps(config, context, options)
  },
})
