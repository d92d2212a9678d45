import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { parseKeyObject } from './core/key-names.ts'
import { Malformed } from './core/malformed.ts'
import { keysPrefix } from './core/object-names.ts'
import { openKeyMessage, type KeyAccess, type KeyProtection, type WrappedKey } from './openpgp-keys.ts'
import { readIfStored } from './stored-objects.ts'

/** One object below `keys/`, and what our secrets make of it. */
export interface KeyObject {
  readonly object: string
  /** The way in that it belongs to; see `core/key-names.ts`. */
  readonly way: string
  /** Known from the content where we open it, else from the name, else not. */
  readonly dataKey: string | undefined
  readonly state:
    | { readonly kind: 'opened'; readonly key: WrappedKey; readonly protection: KeyProtection }
    | { readonly kind: 'closed'; readonly protection: KeyProtection }
    | { readonly kind: 'damaged'; readonly because: Malformed }
}

/**
 * Tries every key object of a repository. Keys of another repository, left by a creator that crashed, are left out. With
 * `enough` an object is not tried when its name says that it holds a data key that another one has given already: each
 * try takes a good part of a second.
 */
export async function readKeyObjects(
  store: ObjectStore,
  repositoryId: string,
  options: KeyAccess & StoreOptions & { readonly enough?: boolean | undefined },
): Promise<readonly KeyObject[]> {
  const objects: KeyObject[] = []
  const opened = new Set<string>()
  for await (const { key: object } of store.list(keysPrefix, options)) {
    const { way, dataKey } = parseKeyObject(object)
    if (options.enough === true && dataKey !== undefined && opened.has(dataKey)) continue
    const bytes = await readIfStored(store, object, options)
    // Removed since we listed it.
    if (bytes === undefined) continue
    try {
      const { key, protection } = await openKeyMessage(bytes, options)
      if (key === undefined) objects.push({ object, way, dataKey, state: { kind: 'closed', protection } })
      else if (key.repositoryId === repositoryId) {
        opened.add(key.id)
        objects.push({ object, way, dataKey: key.id, state: { kind: 'opened', key, protection } })
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      objects.push({ object, way, dataKey, state: { kind: 'damaged', because: error } })
    }
  }
  return objects
}

/** The data keys among them, each once, the newest first. */
export function openedKeys(objects: readonly KeyObject[]): readonly WrappedKey[] {
  const keys = new Map<string, WrappedKey>()
  for (const { state } of objects) if (state.kind === 'opened') keys.set(state.key.id, state.key)
  return [...keys.values()].toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
}

/** Every data key that an object holds, or by its name should hold. */
export function knownDataKeys(objects: readonly KeyObject[]): readonly string[] {
  return [...new Set(objects.flatMap(({ dataKey }) => dataKey ?? []))]
}
