import { Fault } from '../../src/std/fault.ts'
import { storeFaults } from '../../src/store/faults.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'

/** A store in memory, for tests that need thousands of them; every operation takes a turn of its own. */
export function memoryStore(objects: Map<string, Uint8Array> = new Map()): ObjectStore {
  const read = (key: string): Uint8Array => {
    const body = objects.get(key)
    if (body === undefined) throw new Fault(storeFaults['store-object-missing'], `Cannot read object ${key}: not there`)
    return body
  }
  return {
    description: 'memory',
    create: async (key, body) => {
      if (objects.has(key)) return 'exists'
      objects.set(key, Uint8Array.from(body))
      return 'created'
    },
    // A copy: callers may hand the whole ArrayBuffer to another thread.
    read: async (key) => Uint8Array.from(read(key)),
    readRange: async (key, offset, length) => read(key).subarray(offset, offset + length),
    size: async (key) => objects.get(key)?.length,
    async *list(prefix) {
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix)).toSorted()
      for (const key of keys) yield { key, sizeBytes: objects.get(key)?.length ?? 0 }
    },
    delete: async (key) => void objects.delete(key),
    [Symbol.asyncDispose]: async () => {},
  }
}
