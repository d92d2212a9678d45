import { mkdir, open, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifest } from '../../../src/repository/catalogue.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import type { Manifest, ManifestFile } from '../../../src/repository/core/manifest.ts'
import { segmentNameAt } from '../../../src/repository/core/object-names.ts'
import { splitByRecord } from '../../../src/repository/core/page-map.ts'
import { type OpenPack, openPack } from '../../../src/repository/pack-reader.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { readWalSegment, walInventory } from '../../../src/repository/wal-objects.ts'
import type { Lsn } from '../../../src/wal/core/lsn.ts'

const pageBytes = 8192

/**
 * Lays a backup out as a data directory, with its WAL in `<root>/wal`, and makes it recover when it is started. A plain
 * reading of the format, independent of the product's restore.
 */
export async function layOutBackup(repository: Repository, commit: Commit, root: string): Promise<Manifest> {
  const dataDirectory = join(root, 'data')
  await mkdir(dataDirectory, { mode: 0o700 })
  const manifest = await readManifest(repository, commit)
  const packs = new Map<number, OpenPack>()
  const packOf = async (number: number): Promise<OpenPack> => {
    const known = packs.get(number)
    if (known !== undefined) return known
    const reference = manifest.facts.packs[number]
    if (reference === undefined) throw new Error(`no pack ${number}`)
    const pack = openPack(repository.keyring, reference.key, await repository.store.read(reference.key), reference)
    packs.set(number, pack)
    return pack
  }
  for (const { oid } of manifest.tablespaces) {
    await mkdir(join(root, `space-${oid}`), { mode: 0o700 })
    await mkdir(join(dataDirectory, 'pg_tblspc'), { recursive: true })
    await symlink(join(root, `space-${oid}`), join(dataDirectory, 'pg_tblspc', String(oid)))
  }
  for (const file of manifest.files) await layOutFile(dataDirectory, file, packOf)
  await writeFile(join(dataDirectory, 'backup_label'), manifest.backupLabel)
  if (manifest.tablespaceMap !== null) {
    const moved = manifest.tablespaces.map(({ oid }) => `${oid} ${join(root, `space-${oid}`)}\n`).join('')
    await writeFile(join(dataDirectory, 'tablespace_map'), moved)
  }
  await writeFile(join(dataDirectory, 'recovery.signal'), '')
  await layOutWal(repository, commit, join(root, 'wal'))
  return manifest
}

async function layOutFile(
  dataDirectory: string,
  file: ManifestFile,
  packOf: (number: number) => Promise<OpenPack>,
): Promise<void> {
  const path = join(dataDirectory, file.path)
  if (file.kind === 'directory') {
    await mkdir(path, { recursive: true, mode: file.mode })
    return
  }
  await using target = await open(path, 'wx', file.mode)
  if (file.kind === 'pages') {
    for (const run of splitByRecord(file.map)) {
      const record = (await packOf(run.pack)).read(run.record)
      const bytes = record.subarray(run.slot * pageBytes, (run.slot + run.count) * pageBytes)
      await target.write(bytes, 0, bytes.length, run.startPage * pageBytes)
    }
  } else {
    for (const part of file.parts) {
      const pack = await packOf(part.pack)
      for (let record = part.record; record < part.record + part.count; record++) await target.write(pack.read(record))
    }
  }
  const { size } = await target.stat()
  if (size !== file.sizeBytes) throw new Error(`${file.path} has ${size} bytes, not ${file.sizeBytes}`)
}

/** Only what the backup itself needs: a backup that needs more does not recover. */
async function layOutWal(repository: Repository, { facts }: Commit, directory: string): Promise<void> {
  await mkdir(directory)
  const nameAt = (lsn: Lsn): string => segmentNameAt(facts.timeline, lsn, facts.walSegmentBytes)
  for (const { name } of (await walInventory(repository, facts.cluster)).segments) {
    if (name < nameAt(facts.startLsn) || name > nameAt(facts.stopLsn)) continue
    await writeFile(join(directory, name), await readWalSegment(repository, { cluster: facts.cluster, name }))
  }
}
