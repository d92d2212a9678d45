import { isObjectFault } from '../../repository/catalogue.ts'
import { tailsPrefix, walPrefix } from '../../repository/core/object-names.ts'
import type { Repository } from '../../repository/repository.ts'
import { readStored } from '../../repository/stored-objects.ts'
import type { Clock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { retry } from '../../std/retry.ts'
import { storeFaults } from '../../store/faults.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import { isSameWal } from './check-object.ts'
import { offsiteFaults } from './faults.ts'
import type { Pacer } from './pacer.ts'

/** The two places and what copying between them needs. */
export interface CopyRoute {
  readonly first: Repository
  readonly copy: ObjectStore
  readonly cluster: string
  readonly clock: Clock
  readonly pace: Pacer
  readonly signal?: AbortSignal | undefined
  /** Told after each object that the copy has taken. */
  readonly onCopied?: ((object: { readonly key: string; readonly sizeBytes: number }) => void) | undefined
}

const attempts = 4

/**
 * Copies one object: reads it, has it checked, stores it, and looks that the store has all of it. That it is there
 * already is fine when it is the same; an object with other content is never replaced. Throws
 * `repository-object-missing` or `-damaged` of the first repository, `offsite-object-conflict`, `offsite-object-cut`.
 */
export async function copyObject(
  route: CopyRoute,
  object: {
    readonly key: string
    readonly kind: 'wal' | 'bulk'
    readonly check: (bytes: Uint8Array) => void
    /** The copy has something of another size under this key, so that sending it is no use. */
    readonly taken?: boolean
  },
): Promise<'copied' | 'present'> {
  const { first, copy, signal, clock } = route
  const { key, kind } = object
  const again = <Result>(work: () => Promise<Result>): Promise<Result> =>
    retry(work, { clock, signal, attempts, firstWaitMs: 300, longestWaitMs: 5000, random: Math.random, worthwhile })
  const bytes = await again(() => readStored(first.store, key, { signal }))
  object.check(bytes)
  if (object.taken !== true) {
    await route.pace(kind, bytes.length, signal)
    if ((await again(() => copy.create(key, bytes, { signal }))) === 'created') {
      const sizeBytes = await again(() => copy.size(key, { signal }))
      if (sizeBytes !== bytes.length) throw cut(copy, key, sizeBytes ?? 0, bytes.length)
      route.onCopied?.({ key, sizeBytes })
      return 'copied'
    }
  }
  const present = await again(() => readStored(copy, key, { signal }))
  if (Buffer.compare(present, bytes) !== 0 && !sameWal(route, key, present, bytes)) throw conflict(route, key)
  return 'present'
}

/** What no other try can help. */
function worthwhile(error: unknown): boolean {
  if (!(error instanceof Fault)) return true
  return !isObjectFault(error) && !isFault(error, storeFaults['store-key-invalid'])
}

/** WAL that was lost and archived once more is the same with another salt. */
function sameWal({ first, cluster }: CopyRoute, key: string, present: Uint8Array, bytes: Uint8Array): boolean {
  if (!key.startsWith(walPrefix(cluster)) && !key.startsWith(tailsPrefix(cluster))) return false
  try {
    return isSameWal(first.keyring, key, present, bytes)
  } catch (error) {
    if (error instanceof Fault && isObjectFault(error)) return false
    throw error
  }
}

function conflict({ first, copy }: CopyRoute, key: string): Fault {
  return new Fault(
    offsiteFaults['offsite-object-conflict'],
    `Cannot copy object ${key}: ${copy.description} has another one under this name than ${first.store.description}`,
    { details: { object: key, copy: copy.description } },
  )
}

function cut(copy: ObjectStore, key: string, found: number, expected: number): Fault {
  return new Fault(
    offsiteFaults['offsite-object-cut'],
    `Cannot copy object ${key}: ${copy.description} has ${found} of its ${expected} bytes`,
    { details: { object: key, copy: copy.description } },
  )
}
