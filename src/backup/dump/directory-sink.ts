import { access, constants, link, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { diskFault, syncDirectory, writeFileDurably } from '../../std/durable-file.ts'
import { Fault } from '../../std/fault.ts'
import { checksumLine, checksumName, openMeter, recordName } from './dump-sink.ts'
import type { DumpSink } from './dump-sink.ts'
import { dumpFaults } from './faults.ts'

/**
 * Dumps as files of a directory. A dump is written under a name that begins with a dot and gets its own name, by a link
 * that never replaces anything, once it is complete and synced.
 */
export async function openDirectorySink(directory: string): Promise<DumpSink> {
  await access(directory, constants.W_OK | constants.X_OK).catch((cause: unknown) => {
    const message = `Cannot write dumps to ${directory}: it does not exist or cannot be written`
    throw new Fault(dumpFaults['dump-place-unusable'], message, { cause, details: { directory } })
  })
  return {
    description: directory,
    store: async (file, content, describe, signal) => {
      const path = join(directory, file)
      const partial = join(directory, `.${file}.partial`)
      const meter = openMeter()
      let named = false
      try {
        await writeWhole(partial, meter.pass(content), signal)
        await link(partial, path)
        named = true
        await syncDirectory(directory)
        const stored = meter.result(1)
        await writeFileDurably(join(directory, checksumName(file)), checksumLine(stored.sha256, file))
        await writeFileDurably(join(directory, recordName(file)), describe(stored))
      } catch (error) {
        if (named)
          await Promise.all([path, join(directory, checksumName(file))].map((made) => rm(made, { force: true })))
        throw linkFault(diskFault(error, path), path)
      } finally {
        await rm(partial, { force: true })
      }
    },
  }
}

async function writeWhole(path: string, content: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of content) {
      signal?.throwIfAborted()
      await file.writeFile(chunk)
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

function linkFault(error: unknown, path: string): unknown {
  if ((error as NodeJS.ErrnoException | undefined)?.code !== 'EEXIST') return error
  const message = `Cannot write the dump ${path}: there is one of this name`
  return new Fault(dumpFaults['dump-exists'], message, { details: { path }, cause: error })
}
