import { systemClock } from '../../src/std/clock.ts'
import { openFileSystemStore } from '../../src/store/file-system-store.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'

/** Opens a file system store from plain data: what a child process of the contract suite is told to call. */
export async function openFromPlainData({ root }: { readonly root: string }): Promise<ObjectStore> {
  return openFileSystemStore({ root, clock: systemClock })
}
