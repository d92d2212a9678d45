import type { ObjectStore } from '../../src/store/object-store.ts'

export class InjectedFailure extends Error {}

/** `before`: the operation does not happen. `after`: it happens, but whoever asked never hears of it. */
export type FailureMoment = 'before' | 'after'

export interface FailingStore extends ObjectStore {
  /** How many operations were asked for. */
  readonly operations: number
}

/**
 * A store whose n-th operation (from 1) fails, and then every other one, as after a crash; or, with `thenWorks`, only
 * that one, as when a network hiccups.
 */
export function failNthOperation(
  inner: ObjectStore,
  n: number,
  moment: FailureMoment,
  thenWorks = false,
): FailingStore {
  let operations = 0
  const run = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    operations += 1
    const own = operations
    if ((own > n && !thenWorks) || (own === n && moment === 'before')) throw new InjectedFailure('injected')
    const result = await work()
    if (own === n) throw new InjectedFailure('injected')
    return result
  }
  return {
    description: inner.description,
    get operations() {
      return operations
    },
    create: (key, body, options) => run(() => inner.create(key, body, options)),
    read: (key, options) => run(() => inner.read(key, options)),
    readRange: (key, offset, length, options) => run(() => inner.readRange(key, offset, length, options)),
    size: (key, options) => run(() => inner.size(key, options)),
    async *list(prefix, options) {
      yield* await run(() => Array.fromAsync(inner.list(prefix, options)))
    },
    delete: (key, options) => run(() => inner.delete(key, options)),
    [Symbol.asyncDispose]: async () => {},
  }
}

/**
 * Attempts something again and again, each time with another operation failing, in both ways, until there are no more
 * operations. The attempt gives back the failing store it used.
 */
export async function forEveryFailure(
  attempt: (n: number, moment: FailureMoment) => Promise<FailingStore>,
): Promise<number> {
  let attempts = 0
  for (const moment of ['before', 'after'] as const) {
    for (let n = 1; (await attempt(n, moment)).operations >= n; n += 1) attempts += 1
  }
  return attempts
}
