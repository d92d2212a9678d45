import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSystemFault, isAbsent } from './file-system-errors.ts'
import { isKeyPart } from './object-key.ts'
import type { StoredObject } from './object-store.ts'

/**
 * Every file below `root` whose path begins with `prefix`, in byte order of paths, one directory in memory at a time.
 * Names that no key can have are not objects, such as `.tmp` and the `lost+found` of a mount. What disappears while we walk is left out.
 */
export async function* listFiles(
  root: string,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncIterable<StoredObject> {
  const parts = prefix.split('/')
  if (parts.some((part) => part.startsWith('.'))) return
  yield* walk(root, { directory: parts.slice(0, -1).join('/'), prefix, signal })
}

interface Walk {
  /** Relative to the root, without a slash at its end; empty for the root itself. */
  readonly directory: string
  readonly prefix: string
  readonly signal: AbortSignal | undefined
}

async function* walk(root: string, { directory, prefix, signal }: Walk): AsyncIterable<StoredObject> {
  signal?.throwIfAborted()
  for (const entry of await sortedEntries(join(root, directory))) {
    const key = directory === '' ? entry.name : `${directory}/${entry.name}`
    if (entry.isDirectory()) {
      const below = `${key}/`
      if (below.startsWith(prefix) || prefix.startsWith(below)) yield* walk(root, { directory: key, prefix, signal })
    } else if (entry.isFile() && key.startsWith(prefix)) {
      const sizeBytes = await sizeIfPresent(join(root, key))
      if (sizeBytes !== undefined) yield { key, sizeBytes }
    }
  }
}

/** A directory sorts as its name with a slash, so that the walk meets keys in byte order: `a-b` before `a/b`. */
async function sortedEntries(path: string): Promise<Dirent[]> {
  const sortKey = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name)
  try {
    const entries = (await readdir(path, { withFileTypes: true })).filter((entry) => isKeyPart(entry.name))
    return entries.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
  } catch (error) {
    if (isAbsent(error)) return []
    throw fileSystemFault(`list ${path}`, path, error)
  }
}

async function sizeIfPresent(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw fileSystemFault(`list ${path}`, path, error)
  }
}
