import { decodeCheckedJson } from '../../repository/checked-json.ts'
import { dumpsPrefix } from '../../repository/core/object-names.ts'
import type { Repository } from '../../repository/repository.ts'
import { readIfStored } from '../../repository/stored-objects.ts'
import { Fault } from '../../std/fault.ts'
import { dumpRecordFromJson } from './core/dump-record.ts'
import type { DumpRecord } from './core/dump-record.ts'

export interface DumpCatalogue {
  /** In the order in which they were started. */
  readonly dumps: readonly DumpRecord[]
  /** Dumps whose record cannot be read, or whose objects are not all there. */
  readonly damaged: readonly { readonly file: string; readonly because: string }[]
}

/** The complete dumps of a cluster in a repository. Their objects are looked for, not read. */
export async function listDumps(
  repository: Repository,
  cluster: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DumpCatalogue> {
  const prefix = dumpsPrefix(cluster)
  const sizes = new Map<string, number>()
  for await (const { key, sizeBytes } of repository.store.list(prefix, options)) {
    const [, file = '', json] = /^(.*\.gpg)(\.json)?(?:\.\d{6})?$/.exec(key.slice(prefix.length)) ?? []
    if (file === '') continue
    const before = sizes.get(file) ?? 0
    sizes.set(file, json === undefined ? before + sizeBytes : before)
  }
  const dumps: DumpRecord[] = []
  const damaged: { file: string; because: string }[] = []
  for (const [file, sizeBytes] of sizes) {
    const key = `${prefix}${file}.json`
    const json = await readIfStored(repository.store, key, options)
    if (json === undefined) continue
    try {
      const record = decodeCheckedJson(key, json, dumpRecordFromJson)
      dumps.push(record)
      if (record.sizeBytes === sizeBytes) continue
      damaged.push({ file, because: `it should have ${record.sizeBytes} bytes and has ${sizeBytes}` })
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      damaged.push({ file, because: error.message })
    }
  }
  return { dumps: dumps.toSorted((a, b) => a.startedAt - b.startedAt), damaged }
}
