import type * as fc from 'fast-check'
import type { ObjectStore } from '../../src/store/object-store.ts'

/** Every operation waits until it is its turn, in whatever order the scheduler likes. */
export function turnByTurn(inner: ObjectStore, scheduler: fc.Scheduler): ObjectStore {
  const turn = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    await scheduler.schedule(Promise.resolve())
    return await work()
  }
  return {
    ...inner,
    create: (key, body) => turn(() => inner.create(key, body)),
    read: (key) => turn(() => inner.read(key)),
    size: (key) => turn(() => inner.size(key)),
    async *list(prefix) {
      yield* await turn(() => Array.fromAsync(inner.list(prefix)))
    },
    delete: (key) => turn(() => inner.delete(key)),
  }
}
