import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const holdCommand = defineCommand({
  name: 'hold',
  summary: 'keep a backup until it is released, whatever the rules say',
  description:
    'Holds a backup: `holdfast expire` keeps it, with the WAL that it needs itself, until it is released. `holdfast backups` shows the names, `holdfast expire --dry-run` the holds.',
  arguments: [{ syntax: '<backup>', about: 'the name of the backup' }],
  options: {
    repository: {
      flag: '--repository <name>',
      about: 'the repository it is in (default: the first one)',
      parse: asText,
    },
    reason: { flag: '--reason <text>', about: 'why, for those who come later', parse: asText },
    release: { flag: '--release', about: 'give it back to the rules' },
  },
  examples: [
    { command: "holdfast hold 20261122T141702Z-602410cd --reason 'audit 2026'", about: 'keep it' },
    { command: 'holdfast hold 20261122T141702Z-602410cd --release', about: 'leave it to the rules again' },
  ],
  exits: {
    ok: 'it is held, or released, now or before',
    notFound: 'there is no such backup or no repository',
    busy: 'it is just being removed',
    refused: 'the key does not open the repository',
    integrity: 'the commit of the backup is damaged',
    unreachable: 'the repository does not answer',
  },
  run: async (context, options, [backup = '']) => {
    const { runHold } = await import('../backups/run-hold.ts')
    const { config } = await loadContextConfig(context)
    return await runHold(config, context, { ...options, backup })
  },
})
