import { readFile } from 'node:fs/promises'

/** The text of restore.mjs, the program that every repository carries. It is shipped beside this module. */
export async function readRestoreProgram(): Promise<Uint8Array> {
  return readFile(new URL('./restore.mjs', import.meta.url))
}
