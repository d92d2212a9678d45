import type { ManifestFile, PageFile, WholeFile } from '../../repository/core/manifest.ts'
import { compareInWalk } from './walk-order.ts'

/**
 * Finds the files of a parent's manifest, which is read only once and never in memory as a whole: paths must be asked for
 * in the order of a walk. A file that is out of that order in the manifest is not found; then it is merely copied anew.
 */
export function findInOrder(files: Iterable<ManifestFile>): (path: string) => PageFile | WholeFile | undefined {
  const iterator = files[Symbol.iterator]()
  const advance = (): PageFile | WholeFile | undefined => {
    for (;;) {
      const next = iterator.next()
      if (next.done === true) return undefined
      if (next.value.kind !== 'directory') return next.value
    }
  }
  let current: PageFile | WholeFile | undefined
  let begun = false
  return (path) => {
    if (!begun) current = advance()
    begun = true
    while (current !== undefined && compareInWalk(current.path, path) < 0) current = advance()
    return current?.path === path ? current : undefined
  }
}
