import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const switchoverCommand = defineCommand({
  name: 'switchover',
  summary: 'hand the primary over to a standby, without losing a write',
  description:
    'Asks the leader to hand over to an up-to-date standby, and follows it until the new primary accepts writes and the old one streams from it. The leader stops cleanly, makes sure that the standby has everything, and gives up its lease; when the standby is not ready, the old primary goes on. Ctrl-C withdraws a request that has not been taken up.',
  options: {
    to: { flag: '--to <node>', about: 'the standby to hand over to (default: the best one)', parse: asText },
  },
  examples: [
    { command: 'holdfast switchover', about: 'to the best standby' },
    { command: 'holdfast switchover --to node2', about: 'to a certain one' },
  ],
  exits: {
    ok: 'another node accepts writes and the old primary streams from it',
    degraded: 'another node accepts writes, but the old primary has not come back in time',
    failed: 'no node accepts writes yet',
    refused: 'it cannot be done, or was called off; the old primary goes on',
    busy: 'another switchover is under way',
    unreachable: 'the coordinator does not answer',
  },
  run: async (context, { to }) => {
    const { runSwitchover } = await import('../switchover/run-switchover.ts')
    const { config } = await loadContextConfig(context)
    return await runSwitchover(config, context, to ?? null)
  },
})
