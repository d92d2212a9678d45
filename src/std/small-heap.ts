import { setFlagsFromString } from 'node:v8'

/**
 * Makes this process, and the threads that it starts from then on, collect garbage early instead of letting the heap grow
 * as the machine's memory permits: for work whose memory is to depend on its buffers alone. Costs a few per cent of time.
 * Both settings are looked at when V8 collects, so that they may be changed while it runs.
 */
export function keepHeapSmall(): void {
  // After a collection the heap may grow by so much until the next one.
  setFlagsFromString('--heap-growing-percent=20')
  // New objects have the little room that they begin with.
  setFlagsFromString('--semi-space-growth-factor=1')
}
