import { defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'show the cluster at a glance',
  description:
    'Shows every node with role, timeline and lag, who would take over next, what an acknowledged commit is worth, and the backups. Facts come from the coordinator and from every agent that answers; what could not be observed is shown as `?`.',
  options: {},
  examples: [
    { command: 'holdfast status', about: 'the cluster of ./holdfast.yaml' },
    { command: 'holdfast status --json | jq .leader', about: 'who leads, for scripts' },
  ],
  exits: {
    ok: 'healthy: writes are accepted and nothing is wrong',
    degraded: 'writes are accepted, or may be, but something is wrong',
    failed: 'no node accepts writes',
    unreachable: 'the coordinator does not answer',
  },
  run: async (context) => {
    const [{ observeStatus }, { renderStatus }, { toJson }, { jobDocument }] = await Promise.all([
      import('../status/observe-status.ts'),
      import('../status/render-status.ts'),
      import('../../cluster/core/json-reader.ts'),
      import('../schedule/job-text.ts'),
    ])
    const { config } = await loadContextConfig(context)
    const report = await observeStatus(config, context)
    if (context.json) context.output.printJson(JSON.parse(toJson({ ...report, jobs: report.jobs.map(jobDocument) })))
    else {
      context.output.print(
        renderStatus(report, context.clock.wall(), (style, text) => context.output.style(style, text)),
      )
    }
    return ({ healthy: 'ok', degraded: 'degraded', down: 'failed' } as const)[report.verdict]
  },
})
