import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManifestReader } from '../../repository/manifest-object.ts'
import { incompleteMarker, lockNames } from './restore-note.ts'
import { expectedDirectories } from './target-directory.ts'
import type { TargetDirectory } from './target-directory.ts'

const kept: ReadonlySet<string> = new Set([incompleteMarker, ...lockNames, 'lost+found', 'backup_label'])

/**
 * Removes from a directory that was laid out what the backup does not have: files made later, the WAL, signal files,
 * logs. Of a tablespace's place only what PostgreSQL of this release has in it. Gives how many files went.
 */
export async function removeStrangers(
  target: TargetDirectory,
  manifest: Pick<ManifestReader, 'files' | 'tablespaces'>,
  signal?: AbortSignal,
): Promise<number> {
  const files = new Set<string>()
  const directories = new Set(expectedDirectories)
  for (const file of manifest.files()) {
    if (file.kind === 'directory') directories.add(file.path)
    else files.add(file.path)
  }
  if (manifest.tablespaces.length > 0) files.add('tablespace_map')
  for (const oid of target.tablespaces.keys()) directories.add(`pg_tblspc/${oid}`)
  let removed = 0
  const walk = async (directory: string): Promise<void> => {
    signal?.throwIfAborted()
    for (const entry of await readdir(join(target.path, directory), { withFileTypes: true })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`
      const isPlace = isTablespacePlace(target, directory)
      if (directories.has(path)) {
        if (entry.isDirectory() || isTablespacePlace(target, path)) await walk(path)
      } else if (!files.has(path) && !(directory === '' && kept.has(path)) && !isPlace) {
        await rm(join(target.path, path), { recursive: true })
        removed += 1
      }
    }
  }
  await walk('')
  return removed
}

/** What else lies where a tablespace is belongs to other releases or to people. */
function isTablespacePlace({ tablespaces }: TargetDirectory, directory: string): boolean {
  const oid = /^pg_tblspc\/(\d+)$/.exec(directory)?.[1]
  return oid !== undefined && tablespaces.has(Number(oid))
}
