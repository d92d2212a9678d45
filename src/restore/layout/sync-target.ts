import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ManifestFile } from '../../repository/core/manifest.ts'
import { diskFault, syncDirectory } from '../../std/durable-file.ts'
import { controlFile, expectedDirectories } from './target-directory.ts'
import type { TargetDirectory } from './target-directory.ts'

const concurrency = 4

/** Gives every file its mode and makes all files and directories durable, also those that were right already. */
export async function syncTarget(
  target: TargetDirectory,
  files: () => Iterable<ManifestFile>,
  signal?: AbortSignal,
): Promise<void> {
  const queue = withoutControlFile(files())
  const syncFiles = async (): Promise<void> => {
    for (const { path, mode } of queue) {
      signal?.throwIfAborted()
      await syncFile(join(target.path, path), mode)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, syncFiles))
  await syncFile(join(target.path, 'backup_label'), undefined)
  if (target.tablespaces.size > 0) await syncFile(join(target.path, 'tablespace_map'), undefined)
  for (const path of expectedDirectories) await syncDirectory(join(target.path, path))
  for (const file of files()) if (file.kind === 'directory') await syncDirectory(join(target.path, file.path))
  for (const place of target.tablespaces.values()) await syncDirectory(place)
  await syncDirectory(target.path)
  await syncDirectory(dirname(target.path))
}

export async function syncFile(path: string, mode: number | undefined): Promise<void> {
  try {
    await using file = await open(path, 'r+')
    // Until now its owner could write it, whatever its mode is to be.
    if (mode !== undefined && (mode & 0o600) !== 0o600) await file.chmod(mode)
    await file.sync()
  } catch (error) {
    throw diskFault(error, path)
  }
}

function* withoutControlFile(
  files: Iterable<ManifestFile>,
): Generator<{ readonly path: string; readonly mode: number }> {
  for (const file of files) if (file.kind !== 'directory' && file.path !== controlFile) yield file
}
