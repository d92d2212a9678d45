import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileDurably } from '../../std/durable-file.ts'

/** A note on disk that the data directory was made by this node and has never led; see `bootstrap-data.ts`. */
export interface UnbornNote {
  readonly value: string | null
  set(value: string | null): Promise<void>
}

export async function openUnbornNote(stateDirectory: string): Promise<UnbornNote> {
  const path = join(stateDirectory, 'unborn')
  let value = await readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => null,
  )
  return {
    get value() {
      return value
    },
    set: async (next) => {
      if (next === value) return
      if (next === null) await rm(path, { force: true })
      else await writeFileDurably(path, `${next}\n`)
      value = next
    },
  }
}
