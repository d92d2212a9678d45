import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DemoNode } from './demo-cluster.ts'

/** A line of a node's event log, as far as the demo looks at it. */
export interface NodeEvent {
  readonly node: string
  readonly event: string
  readonly monotonicMs: number
}

/** What all nodes noted since a moment, in the order of time; the nodes share this machine's monotonic clock. */
export async function eventsSince(nodes: readonly DemoNode[], since: number): Promise<NodeEvent[]> {
  const logs = await Promise.all(
    nodes.map(({ stateDirectory }) => readFile(join(stateDirectory, 'events.jsonl'), 'utf8').catch(() => '')),
  )
  return logs
    .flatMap((log) => log.split('\n').flatMap(parseEvent))
    .filter((event) => event.monotonicMs >= since)
    .toSorted((a, b) => a.monotonicMs - b.monotonicMs)
}

/** A line cut off by a crash is no event. */
function parseEvent(line: string): readonly NodeEvent[] {
  if (!line.endsWith('}')) return []
  return [JSON.parse(line) as NodeEvent]
}
