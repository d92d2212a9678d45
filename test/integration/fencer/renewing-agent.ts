import { ensureFencer } from '../../../src/cluster/fencer/ensure-fencer.ts'
import type { MonotonicMs } from '../../../src/std/clock.ts'
import { systemClock } from '../../../src/std/clock.ts'

/** Renews the lease of the fencer in the given state directory until it is killed, as an agent would. */
const [stateDirectory] = process.argv.slice(2)
if (stateDirectory === undefined) throw new Error('no state directory given')
await using client = await ensureFencer({ stateDirectory, clock: systemClock })
for (let first = true; ; first = false) {
  const now = systemClock.monotonic()
  const suspendedMs = systemClock.boottime() - now
  await client.arm({ term: 2, deadline: (now + 1500) as MonotonicMs, suspendedMs })
  if (first) process.stdout.write('renewed\n')
  await systemClock.sleep(100)
}
