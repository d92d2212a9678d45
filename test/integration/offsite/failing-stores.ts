import type { ObjectStore } from '../../../src/store/object-store.ts'
import { InjectedFailure, type FailureMoment } from '../../contract/fail-nth-operation.ts'

/** Which operation fails, counted over all stores together. */
export interface PlannedFailure {
  readonly n: number
  readonly moment: FailureMoment
  /** Every later one fails too, as after a crash; else only this one. */
  readonly crash: boolean
}

/** Stores that fail when they are told to, and count. */
export class FailingStores {
  operations = 0
  #failure: PlannedFailure | undefined
  readonly #makeError: () => Error

  constructor(makeError: () => Error = () => new InjectedFailure('injected')) {
    this.#makeError = makeError
  }

  /** Begins to count anew. */
  plan(failure: PlannedFailure | undefined): void {
    this.operations = 0
    this.#failure = failure
  }

  readonly wrap = (inner: ObjectStore): ObjectStore => ({
    description: inner.description,
    create: (key, body) => this.#run(() => inner.create(key, body)),
    read: (key) => this.#run(() => inner.read(key)),
    readRange: (key, offset, length) => this.#run(() => inner.readRange(key, offset, length)),
    size: (key) => this.#run(() => inner.size(key)),
    list: (prefix) => this.#list(inner, prefix),
    delete: (key) => this.#run(() => inner.delete(key)),
    [Symbol.asyncDispose]: async () => {},
  })

  async *#list(inner: ObjectStore, prefix: string): ReturnType<ObjectStore['list']> {
    yield* await this.#run(() => Array.fromAsync(inner.list(prefix)))
  }

  async #run<Result>(work: () => Promise<Result>): Promise<Result> {
    this.operations += 1
    const own = this.operations
    const { n, moment, crash } = this.#failure ?? { n: 0, moment: 'before', crash: false }
    if (own < n || n === 0) return await work()
    if ((own > n && crash) || (own === n && moment === 'before')) throw this.#makeError()
    const result = await work()
    if (own === n) throw this.#makeError()
    return result
  }
}
