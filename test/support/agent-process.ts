import { readFileSync } from 'node:fs'
import { runAgent } from '../../src/cluster/agent/run-agent.ts'
import type { AgentOptions } from '../../src/cluster/agent/agent-options.ts'
import { openEmbeddedCoordinator } from '../../src/coordinator/embedded/embedded-coordinator.ts'
import { systemClock } from '../../src/std/clock.ts'
import { openLog } from '../../src/std/log.ts'
import { Secret } from '../../src/std/secret.ts'

/** What an agent of a test cluster reads from the file that is its only argument. */
export interface AgentProcessOptions extends Omit<
  AgentOptions,
  'coordinator' | 'superuser' | 'replication' | 'clock' | 'log' | 'whileLeading'
> {
  readonly coordinatorFile: string
  readonly superuser: { readonly name: string; readonly password: string }
  readonly replication: { readonly name: string; readonly password: string }
}

/** The agent of one node as a process of its own: `agent-process.ts <options.json>`; SIGTERM ends it in good order. */
if (import.meta.main) {
  const [file] = process.argv.slice(2)
  if (file === undefined) throw new Error('usage: agent-process.ts <options.json>')
  const options = JSON.parse(readFileSync(file, 'utf8')) as AgentProcessOptions
  const stopping = new AbortController()
  process.on('SIGTERM', () => stopping.abort())
  process.on('SIGINT', () => stopping.abort())
  await using coordinator = await openEmbeddedCoordinator({ file: options.coordinatorFile, clock: systemClock })
  await runAgent(
    {
      ...options,
      superuser: { name: options.superuser.name, password: new Secret(options.superuser.password) },
      replication: { name: options.replication.name, password: new Secret(options.replication.password) },
      coordinator,
      clock: systemClock,
      log: openLog({ level: 'info' }).with({ node: options.node }),
    },
    { signal: stopping.signal },
  )
}
