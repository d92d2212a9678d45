import { open } from 'node:fs/promises'
import { release } from 'node:os'
import { dirname, join } from 'node:path'
import type { ManifestFile } from '../../repository/core/manifest.ts'
import { diskFault, syncDirectory } from '../../std/durable-file.ts'
import { runProgramToEnd } from '../../std/run-program.ts'
import { controlFile, expectedDirectories } from './target-directory.ts'
import type { TargetDirectory } from './target-directory.ts'

const concurrency = 4

/** Gives every file its mode and makes all files and directories durable, also those that were right already. */
export async function syncTarget(
  target: TargetDirectory,
  files: () => Iterable<ManifestFile>,
  signal?: AbortSignal,
): Promise<void> {
  if (await syncFileSystems([target.path, ...target.tablespaces.values()], signal)) {
    // A mode is of no use to anybody who is not sure of the content.
    for (const { path, mode } of withoutControlFile(files())) {
      signal?.throwIfAborted()
      if (!isWritable(mode)) await syncFile(join(target.path, path), mode)
    }
    return
  }
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
    if (mode !== undefined && !isWritable(mode)) await file.chmod(mode)
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

function isWritable(mode: number): boolean {
  return (mode & 0o600) === 0o600
}

const syncDeadlineMs = 3_600_000

/**
 * Makes everything on some file systems durable with one call each, where the system has one that reports errors: syncfs
 * does since Linux 5.8, and `sync --file-system` is coreutils' way to it. A hundred thousand files one by one take minutes.
 */
async function syncFileSystems(directories: readonly string[], signal?: AbortSignal): Promise<boolean> {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (process.platform !== 'linux' || major < 5 || (major === 5 && minor < 8)) return false
  const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' }
  const options = { environment, deadlineMs: syncDeadlineMs, signal }
  const ended = await runProgramToEnd('sync', ['--file-system', ...directories], options).catch(() => undefined)
  signal?.throwIfAborted()
  // Without the program, or with one that cannot, each file is synced.
  return ended?.exitCode === 0
}
