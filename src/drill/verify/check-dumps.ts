import { createHash } from 'node:crypto'
import type { DumpRecord } from '../../backup/dump/core/dump-record.ts'
import { listDumps } from '../../backup/dump/list-dumps.ts'
import { dumpObject, dumpPartObject } from '../../repository/core/object-names.ts'
import { objectFault } from '../../repository/damage.ts'
import { isObjectFault } from '../../repository/catalogue.ts'
import type { Repository } from '../../repository/repository.ts'
import { readStored } from '../../repository/stored-objects.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { Fault } from '../../std/fault.ts'
import type { StoreOptions } from '../../store/object-store.ts'
import type { Examination, Seen } from './examination.ts'

/**
 * The portable dumps beside the backups: of each database the newest has the SHA-256 that it was stored with; of the others
 * the sizes are right. They are no part of a backup, so damage is doubtful and takes nothing away from its levels.
 */
export async function checkDumps(
  repository: Repository,
  cluster: string,
  examination: Examination,
  options: StoreOptions,
): Promise<void> {
  await examination.check(1, 'portable dumps', async (): Promise<Seen> => {
    const { dumps, damaged } = await listDumps(repository, cluster, options)
    if (dumps.length === 0 && damaged.length === 0) {
      return { outcome: 'skipped', text: 'there is none', needed: false }
    }
    for (const { file, because } of damaged) {
      examination.find({ level: 1, message: `dump ${file}: ${because}`, object: dumpObject(cluster, file) })
    }
    const short = new Set(damaged.map(({ file }) => file))
    const newest = [...new Map(dumps.map((dump) => [dump.database, dump])).values()]
    const readable = newest.filter(({ file }) => !short.has(file))
    let bad = damaged.length
    for (const dump of readable) {
      const fault = await readDump(repository, cluster, dump, options)
      if (fault === undefined) continue
      bad += 1
      examination.findFault(1, fault)
    }
    if (bad > 0) return { outcome: 'doubtful', text: `${bad} of ${dumps.length} dumps are damaged` }
    const bytes = readable.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const others = dumps.length - readable.length
    const rest = others === 0 ? '' : `; of ${others} older ones only the sizes were looked at`
    return { outcome: 'passed', text: `the newest of each database, ${describeBytes(bytes)}, by their SHA-256${rest}` }
  })
}

async function readDump(
  { store }: Repository,
  cluster: string,
  { file, parts, fileSha256 }: DumpRecord,
  options: StoreOptions,
): Promise<Fault | undefined> {
  const whole = dumpObject(cluster, file)
  const hash = createHash('sha256')
  try {
    for (let part = 0; part < parts; part += 1) {
      const key = parts === 1 ? whole : dumpPartObject(cluster, file, part)
      hash.update(await readStored(store, key, options))
    }
  } catch (error) {
    if (error instanceof Fault && isObjectFault(error)) return error
    throw error
  }
  return hash.digest('hex') === fileSha256
    ? undefined
    : objectFault(whole, 'altered', 'its SHA-256 is not the one that it was stored with')
}
