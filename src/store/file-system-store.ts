import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readdir, rm, stat, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Clock } from '../std/clock.ts'
import { syncDirectory } from '../std/durable-file.ts'
import { Fault } from '../std/fault.ts'
import { errorCode, fileSystemFault, isAbsent } from './file-system-errors.ts'
import { storeFaults } from './faults.ts'
import { listFiles } from './file-system-listing.ts'
import { assertObjectKey } from './object-key.ts'
import type { ObjectStore, StoreOptions } from './object-store.ts'

/** Where objects are written before they get their name; never a key, since parts of keys do not begin with a dot. */
const temporaryDirectory = '.tmp'
/** Older temporary files belong to nobody: no write of one object takes a day. */
const abandonedAfterMs = 24 * 3_600_000
const writeChunkBytes = 4 * 1024 * 1024

export interface FileSystemStoreOptions {
  /** The directory that holds the store; a local or network file system with hard links. */
  readonly root: string
  /** Creates the directory when it is missing. Off by default: a missing one is mostly a missing mount. */
  readonly createRoot?: boolean | undefined
  readonly clock: Pick<Clock, 'wall'>
}

/**
 * A store in a directory. An object is written under a temporary name, synced, and only then given its key by link(2),
 * which fails when the name is taken: so there is never a part of an object under a key, and of any number of racing
 * creators exactly one wins. Files are 0600 and directories 0700.
 */
export async function openFileSystemStore(options: FileSystemStoreOptions): Promise<ObjectStore> {
  const root = resolve(options.root)
  if (options.createRoot === true) await makeRoot(root)
  await assertDirectory(root)
  await removeAbandoned(join(root, temporaryDirectory), options.clock.wall() - abandonedAfterMs)
  const durableDirectories = new Set<string>()
  const at = async <Result>(verb: string, key: string, work: (path: string) => Promise<Result>): Promise<Result> => {
    assertObjectKey(key)
    const path = join(root, key)
    try {
      return await work(path)
    } catch (error) {
      throw fileSystemFault(`${verb} object ${key}`, path, error)
    }
  }
  return {
    description: `file system ${root}`,
    create: (key, body, { signal } = {}) =>
      at('write', key, (path) => createFile({ root, durableDirectories }, path, body, signal)),
    read: (key, { signal } = {}) => at('read', key, (path) => readAll(key, path, signal)),
    readRange: (key, offset, length, { signal } = {}) =>
      at('read', key, (path) => readPart(key, path, { offset, length, signal })),
    size: (key, { signal } = {}) => at('look up', key, (path) => sizeOf(path, signal)),
    list: (prefix, { signal }: StoreOptions = {}) => listFiles(root, prefix, signal),
    delete: (key, { signal } = {}) => at('delete', key, (path) => deleteFile(path, signal)),
    [Symbol.asyncDispose]: async () => {},
  }
}

interface Place {
  readonly root: string
  /** Directories whose own entries, up to the root, this process has already made durable. */
  readonly durableDirectories: Set<string>
}

async function createFile(
  { root, durableDirectories }: Place,
  path: string,
  body: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<'created' | 'exists'> {
  signal?.throwIfAborted()
  await assertDirectory(root)
  const directory = dirname(path)
  const temporary = join(root, temporaryDirectory, `${process.pid}-${randomBytes(8).toString('hex')}`)
  await mkdir(dirname(temporary), { recursive: true, mode: 0o700 })
  try {
    await makeDurableDirectory(directory, { root, durableDirectories })
    await writeSynced(temporary, body, signal)
    const outcome = await linkOnce(temporary, path)
    // Also when it existed: whoever created it may not have come to its own sync yet, and our caller relies on it.
    await syncDirectory(directory)
    return outcome
  } finally {
    await rm(temporary, { force: true })
  }
}

async function writeSynced(path: string, body: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  for (let offset = 0; offset < body.length;) {
    signal?.throwIfAborted()
    const { bytesWritten } = await file.write(body, offset, Math.min(writeChunkBytes, body.length - offset))
    offset += bytesWritten
  }
  await file.sync()
}

async function linkOnce(temporary: string, path: string): Promise<'created' | 'exists'> {
  try {
    await link(temporary, path)
    return 'created'
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST') {
      // NFS may carry out a link, lose the answer, and report the repeated request as EEXIST: then the link is ours.
      return (await stat(temporary)).nlink > 1 ? 'created' : 'exists'
    }
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS' && code !== 'EMLINK') {
      throw error
    }
    throw new Fault(
      storeFaults['store-links-unsupported'],
      `Cannot create ${path}: the file system refused a hard link (${code})`,
      { details: { path, errno: code }, cause: error },
    )
  }
}

async function readAll(key: string, path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  await using file = await openObject(key, path, signal)
  const { size } = await file.stat()
  return await readBytes(file, { offset: 0, length: size, signal })
}

async function readPart(
  key: string,
  path: string,
  range: { readonly offset: number; readonly length: number; readonly signal: AbortSignal | undefined },
): Promise<Uint8Array> {
  await using file = await openObject(key, path, range.signal)
  const { size } = await file.stat()
  return await readBytes(file, { ...range, length: Math.max(0, Math.min(range.length, size - range.offset)) })
}

async function openObject(key: string, path: string, signal: AbortSignal | undefined): Promise<FileHandle> {
  signal?.throwIfAborted()
  try {
    const file = await open(path, 'r')
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
  throw new Fault(storeFaults['store-object-missing'], `Cannot read object ${key}: it does not exist`, {
    details: { key },
  })
}

async function readBytes(
  file: FileHandle,
  range: { readonly offset: number; readonly length: number; readonly signal: AbortSignal | undefined },
): Promise<Uint8Array> {
  // Not from Buffer's pool: callers may hand the whole ArrayBuffer to another thread.
  const bytes = Buffer.allocUnsafeSlow(range.length)
  let filled = 0
  while (filled < range.length) {
    range.signal?.throwIfAborted()
    const { bytesRead } = await file.read(bytes, filled, range.length - filled, range.offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

async function sizeOf(path: string, signal: AbortSignal | undefined): Promise<number | undefined> {
  signal?.throwIfAborted()
  try {
    const found = await stat(path)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

async function deleteFile(path: string, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  try {
    await unlink(path)
  } catch (error) {
    if (isAbsent(error)) return
    throw error
  }
  await syncDirectory(dirname(path))
}

/**
 * Creates a directory and its missing parents, each durable in its own parent: also those that were there already,
 * since another process may have made them a moment ago and not have come to the sync.
 */
async function makeDurableDirectory(path: string, { root, durableDirectories }: Place): Promise<void> {
  const created = await mkdir(path, { recursive: true, mode: 0o700 })
  if (created === undefined && durableDirectories.has(path)) return
  for (let directory = path; directory !== root; directory = dirname(directory)) await syncDirectory(dirname(directory))
  durableDirectories.add(path)
}

async function makeRoot(root: string): Promise<void> {
  try {
    const created = await mkdir(root, { recursive: true, mode: 0o700 })
    if (created === undefined) return
    for (let directory = root; directory !== dirname(created); directory = dirname(directory)) {
      await syncDirectory(dirname(directory))
    }
  } catch (error) {
    throw fileSystemFault(`create the store ${root}`, root, error)
  }
}

async function assertDirectory(root: string): Promise<void> {
  try {
    if ((await stat(root)).isDirectory()) return
  } catch (error) {
    if (!isAbsent(error)) throw fileSystemFault(`open the store ${root}`, root, error)
  }
  throw new Fault(storeFaults['store-root-missing'], `Cannot open the store ${root}: there is no such directory`, {
    details: { path: root },
  })
}

/** Removes what crashed writers left behind. What this user may not touch, or is gone already, is not ours to mind. */
async function removeAbandoned(directory: string, olderThan: number): Promise<void> {
  const names = await readdir(directory).catch((): string[] => [])
  for (const name of names) {
    const path = join(directory, name)
    const found = await stat(path).catch(() => undefined)
    if (found !== undefined && found.mtimeMs < olderThan) await unlink(path).catch(() => undefined)
  }
}
