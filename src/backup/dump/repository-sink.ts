import { dumpObject, dumpPartObject } from '../../repository/core/object-names.ts'
import { assertClusterName, type Repository } from '../../repository/repository.ts'
import { Fault } from '../../std/fault.ts'
import { checksumLine, checksumName, openMeter, recordName } from './dump-sink.ts'
import type { DumpSink } from './dump-sink.ts'
import { dumpFaults } from './faults.ts'

/** Objects are written whole, from memory. */
const dumpPartBytes = 32 << 20

/**
 * Dumps in a repository. A small one is one object. A large one is several, of 32 MiB each, that are the dump again when
 * they are joined: `cat NAME.[0-9]* | gpg -d`. So a dump of any size takes as little memory, and no room on any disk of the
 * node. The JSON comes last: without it the objects are no dump.
 */
export function openRepositorySink(repository: Repository, cluster: string): DumpSink {
  assertClusterName(cluster)
  const { store } = repository
  return {
    description: store.description,
    store: async (file, content, describe, signal) => {
      const created: string[] = []
      const create = async (key: string, bytes: Uint8Array): Promise<void> => {
        if ((await store.create(key, bytes, { signal })) === 'exists') {
          const message = `Cannot store the dump ${file}: ${store.description} has the object ${key} already`
          throw new Fault(dumpFaults['dump-exists'], message, { details: { object: key } })
        }
        created.push(key)
      }
      const meter = openMeter()
      try {
        let parts = 0
        for await (const { bytes, only } of cut(meter.pass(content))) {
          await create(only ? dumpObject(cluster, file) : dumpPartObject(cluster, file, parts), bytes)
          parts += 1
        }
        const stored = meter.result(parts)
        await create(dumpObject(cluster, checksumName(file)), Buffer.from(checksumLine(stored.sha256, file)))
        await create(dumpObject(cluster, recordName(file)), describe(stored))
      } catch (error) {
        // What a store that is gone does not let us delete is not listed either.
        for (const key of created) await store.delete(key).catch(() => undefined)
        throw error
      }
    },
  }
}

async function* cut(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly only: boolean }> {
  let part = Buffer.allocUnsafe(dumpPartBytes)
  let filled = 0
  let number = 0
  for await (const chunk of content) {
    for (let rest = chunk; rest.length > 0;) {
      if (filled === dumpPartBytes) {
        yield { bytes: part, only: false }
        part = Buffer.allocUnsafe(dumpPartBytes)
        filled = 0
        number += 1
      }
      const taken = rest.subarray(0, dumpPartBytes - filled)
      part.set(taken, filled)
      filled += taken.length
      rest = rest.subarray(taken.length)
    }
  }
  yield { bytes: part.subarray(0, filled), only: number === 0 }
}
