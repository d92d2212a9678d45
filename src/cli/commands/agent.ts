import { defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const agentCommand = defineCommand({
  name: 'agent',
  summary: 'run this node: decisions, PostgreSQL, HTTP, WAL archive',
  description:
    'Runs the agent of this node until it is stopped: it founds or joins the cluster, starts PostgreSQL below its fencer, takes over when the leader is gone, answers health checks over HTTP, and, while it leads, streams WAL into every repository. Its log is JSON lines on standard error. SIGTERM or Ctrl-C stops PostgreSQL cleanly and hands the lease to whoever is left; when the agent dies instead, the fencer keeps PostgreSQL running to the end of its lease and the next agent attaches to it.',
  options: {},
  examples: [
    { command: 'holdfast agent', about: 'the node of ./holdfast.yaml' },
    { command: 'holdfast agent --config /etc/holdfast/node1.yaml', about: 'what a systemd unit runs' },
  ],
  exits: {
    ok: 'stopped in good order',
    failed: 'it could not go on',
    refused: 'it was started as root',
    busy: 'another agent runs for the same state directory, or the HTTP port is in use',
    unreachable: 'the coordinator cannot be opened',
  },
  run: async (context) => {
    const { runAgentCommand } = await import('../agent/run-agent-command.ts')
    await runAgentCommand(await loadContextConfig(context), context)
    return 'ok'
  },
})
