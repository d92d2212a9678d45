import type { PackReference } from '../repository/core/backup-facts.ts'
import type { Repository } from '../repository/repository.ts'
import { readIfStored } from '../repository/stored-objects.ts'
import type { ComparedPack, Work } from './copy/copy-protocol.ts'
import { TakenOver } from './core/taken-over.ts'

/**
 * Takes over what backups that did not come to their end have stored. Each of their packs is read once, by a copying
 * thread, which says what of it is in the data directory just like that; nothing else is planned before all have been.
 */
export class TakingOver {
  readonly takenOver = new TakenOver()
  readonly #repository: Repository
  readonly #packs: readonly string[]
  readonly #signal: AbortSignal | undefined
  readonly #references = new Map<string, PackReference>()
  #waiting = 0
  #allCompared: (() => void) | undefined

  constructor(repository: Repository, packs: readonly string[], signal: AbortSignal | undefined) {
    this.#repository = repository
    this.#packs = packs
    this.#signal = signal
  }

  /** Packs to be compared; ends when the last of them has been. */
  async *work(): AsyncGenerator<Work, undefined> {
    for (const objectKey of this.#packs) {
      const bytes = await readIfStored(this.#repository.store, objectKey, { signal: this.#signal })
      if (bytes === undefined) continue
      this.#waiting += 1
      // The memory is given to the thread, so it must be all of its own.
      yield { kind: 'takeover', objectKey, bytes: isAlone(bytes) ? bytes : Uint8Array.from(bytes) }
    }
    if (this.#waiting === 0) return undefined
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#allCompared = resolve
    const onAbort = (): void => reject(this.#signal?.reason)
    this.#signal?.addEventListener('abort', onAbort, { once: true })
    await promise.finally(() => this.#signal?.removeEventListener('abort', onAbort))
    return undefined
  }

  compared({ objectKey, sha256, sizeBytes, taken }: ComparedPack): void {
    this.#waiting -= 1
    if (taken !== undefined) {
      this.#references.set(objectKey, { key: objectKey, sha256, sizeBytes })
      this.takenOver.add(objectKey, taken)
    }
    if (this.#waiting === 0) this.#allCompared?.()
  }

  /** What the manifest says of a pack that is taken over. */
  reference(objectKey: string): PackReference {
    const reference = this.#references.get(objectKey)
    if (reference === undefined) throw new RangeError(`pack ${objectKey} was not compared`)
    return reference
  }
}

function isAlone(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength
}
