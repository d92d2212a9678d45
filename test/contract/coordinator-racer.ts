import { openEmbeddedCoordinator } from '../../src/coordinator/embedded/embedded-coordinator.ts'
import type { Coordinator } from '../../src/coordinator/coordinator.ts'
import { systemClock } from '../../src/std/clock.ts'

/**
 * One of several processes that race on a coordinator: `coordinator-racer.ts <adapter> <target> <name> <rounds>`. In each
 * round it tries to create the round's key and increments a shared counter; prints the rounds it won.
 */
const [adapter, target, name, rounds] = process.argv.slice(2)
if (adapter === undefined || target === undefined || name === undefined) throw new Error('too few arguments')

await using coordinator = await open(adapter, target)
const won: number[] = []
for (let round = 0; round < Number(rounds); round += 1) {
  const key = `/race/${round}`
  const { committed } = await coordinator.transact({
    conditions: [{ key, modRevision: 0 }],
    changes: [{ put: key, value: name }],
  })
  if (committed) won.push(round)
  await increment(coordinator, '/counter')
}
process.stdout.write(JSON.stringify({ won }))

function open(kind: string, at: string): Promise<Coordinator> {
  if (kind === 'embedded') return openEmbeddedCoordinator({ file: at, clock: systemClock, timeoutMs: 30_000 })
  throw new Error(`unknown adapter ${kind}`)
}

async function increment(client: Coordinator, key: string): Promise<void> {
  for (;;) {
    const entry = (await client.list(key)).entries[0]
    const { committed } = await client.transact({
      conditions: [{ key, modRevision: entry?.modRevision ?? 0 }],
      changes: [{ put: key, value: String(Number(entry?.value ?? 0) + 1) }],
    })
    if (committed) return
  }
}
