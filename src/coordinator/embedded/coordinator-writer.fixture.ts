import { systemClock } from '../../std/clock.ts'
import { openEmbeddedCoordinator } from './embedded-coordinator.ts'

/** Writes two keys that must always be equal, faster than anyone else, until it is killed; prints what was answered. */
const file = process.argv[2]
if (file === undefined) throw new Error('no file given')
await using coordinator = await openEmbeddedCoordinator({ file, clock: systemClock })
const left = (await coordinator.list('/left')).entries[0]
for (let count = Number(left?.value ?? 0) + 1; ; count += 1) {
  const value = String(count)
  await coordinator.transact({
    conditions: [],
    changes: [
      { put: '/left', value },
      { put: '/right', value },
    ],
  })
  process.stdout.write(`${value}\n`)
}
