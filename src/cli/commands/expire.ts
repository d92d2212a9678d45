import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const expireCommand = defineCommand({
  name: 'expire',
  summary: 'remove the backups, the WAL and the dumps that no rule keeps',
  description:
    'Removes what the `retention` section of the configuration and the holds do not keep: backups, then the packs and the WAL that nothing listed needs, and leftovers of backups that died. A table says of each backup whether it stays and why. Never goes: the newest backup that can be restored, what a listed backup needs, and WAL that the kept window needs. Dumps in the repository go by the same rules, or by those of `retention.dumps`, each database by itself. Backups and restores may run meanwhile.',
  options: {
    repository: { flag: '--repository <name>', about: 'the repository to tidy (default: all of them)', parse: asText },
    dryRun: { flag: '--dry-run', about: 'only say what would go and what would stay; change nothing' },
  },
  examples: [
    { command: 'holdfast expire --dry-run', about: 'what would go, what stays, and why' },
    { command: 'holdfast expire', about: 'remove it' },
  ],
  exits: {
    ok: 'everything that no rule keeps is gone, or would go',
    notFound: 'there is no repository',
    refused: 'the key does not open the repository',
    integrity: 'a commit, a session or a history file is damaged: nothing was removed',
    unreachable: 'a repository does not answer; what was not removed is removed the next time',
  },
  run: async (context, options) => {
    const { runExpire } = await import('../backups/run-expire.ts')
    const { config } = await loadContextConfig(context)
    return await runExpire(config, context, options)
  },
})
