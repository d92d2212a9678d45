import { defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const checkCommand = defineCommand({
  name: 'check',
  summary: 'judge whether this machine and its configuration are fit',
  description:
    'Looks at everything a node depends on: the PostgreSQL binaries, directories and their permissions, ports, secrets, clocks, the coordinator, every repository with its key, and free disk space. Each line says what was observed; what could not be looked at says so. Nothing is changed.',
  options: {},
  examples: [
    { command: 'holdfast check', about: 'before the first start, and when something is odd' },
    { command: 'holdfast check --json', about: 'for monitoring' },
  ],
  exits: {
    ok: 'everything is fine',
    degraded: 'it can run, but something should be looked at',
    failed: 'it cannot run like this',
  },
  run: async (context) => {
    const { runCheck } = await import('../check/run-check.ts')
    const { config } = await loadContextConfig(context)
    return await runCheck(config, context)
  },
})
