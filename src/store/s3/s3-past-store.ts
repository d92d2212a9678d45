import { ListObjectVersionsCommand, type ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3'
import { Fault } from '../../std/fault.ts'
import { storeFaults } from '../faults.ts'
import { assertObjectKey, isKeyPart } from '../object-key.ts'
import type { ObjectStore, StoreOptions, StoredObject } from '../object-store.ts'
import { newestBefore, type ObjectVersion } from './core/past-versions.ts'
import { connectS3, type S3Connection } from './s3-connection.ts'
import { abortable, decodeKey } from './s3-objects.ts'
import type { S3StoreOptions } from './s3-options.ts'
import { listOne, readPart, readWhole } from './s3-store.ts'

/**
 * A versioned bucket as it was at a moment, for reading only: objects that were deleted or replaced since are there again.
 * So a repository survives somebody who has our credentials, as long as versions are kept (object lock sees to it).
 */
export async function openS3PastStore(options: S3StoreOptions & { readonly asOf: number }): Promise<ObjectStore> {
  const connection = connectS3(options)
  try {
    await listOne(connection, options.signal)
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
  const moment = new Date(options.asOf).toISOString()
  const description = `${connection.description} as of ${moment}`
  const find = (key: string, signal: AbortSignal | undefined): Promise<ObjectVersion | undefined> => {
    assertObjectKey(key)
    return findVersion(connection, key, options.asOf, signal)
  }
  const require = async (key: string, signal: AbortSignal | undefined): Promise<PastPlace> => {
    const found = await find(key, signal)
    if (found !== undefined)
      return { bucket: connection.bucket, key: `${connection.prefix}${key}`, version: found.version }
    throw new Fault(storeFaults['store-object-missing'], `Cannot read object ${key}: it did not exist at ${moment}`, {
      details: { key, asOf: moment },
    })
  }
  const refuse = async (): Promise<never> => {
    throw new Fault(storeFaults['store-access-denied'], `Cannot change ${description}: the past is read only`)
  }
  return {
    description,
    create: refuse,
    delete: refuse,
    read: async (key, { signal } = {}) => await readWhole(connection, await require(key, signal), key, signal),
    readRange: async (key, offset, length, { signal } = {}) =>
      await readPart(connection, await require(key, signal), key, { offset, length, signal }),
    size: async (key, { signal } = {}) => (await find(key, signal))?.sizeBytes,
    list: (prefix, listOptions = {}) => listPast(connection, prefix, options.asOf, listOptions),
    [Symbol.asyncDispose]: async () => connection[Symbol.dispose](),
  }
}

interface PastPlace {
  readonly bucket: string
  readonly key: string
  readonly version: string
}

async function findVersion(
  connection: S3Connection,
  key: string,
  asOf: number,
  signal: AbortSignal | undefined,
): Promise<ObjectVersion | undefined> {
  const own: ObjectVersion[] = []
  for await (const version of listVersions(connection, key, signal)) {
    if (version.key === key) own.push(version)
    else if (version.key > key) break
  }
  return newestBefore(own, asOf).next().value ?? undefined
}

async function* listPast(
  connection: S3Connection,
  prefix: string,
  asOf: number,
  { signal }: StoreOptions,
): AsyncIterable<StoredObject> {
  if (prefix.split('/').some((part) => part.startsWith('.'))) return
  let versions: ObjectVersion[] = []
  for await (const version of listVersions(connection, prefix, signal)) {
    if (versions[0] !== undefined && versions[0].key !== version.key) {
      yield* newestBefore(versions, asOf)
      versions = []
    }
    versions.push(version)
  }
  yield* newestBefore(versions, asOf)
}

interface VersionEntry {
  readonly Key?: string | undefined
  readonly VersionId?: string | undefined
  readonly LastModified?: Date | undefined
}

interface Marker {
  readonly KeyMarker?: string
  readonly VersionIdMarker?: string
}

/** Every version and every mark of deletion, by key; within a page versions come before marks. */
async function* listVersions(
  connection: S3Connection,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncIterable<ObjectVersion> {
  let marker: Marker | undefined = {}
  let held: ObjectVersion[] = []
  while (marker !== undefined) {
    signal?.throwIfAborted()
    const from: Marker = marker
    const page: ListObjectVersionsCommandOutput = await connection.call(
      `list versions of ${prefix}`,
      signal,
      (client) =>
        client.send(
          new ListObjectVersionsCommand({
            Bucket: connection.bucket,
            Prefix: `${connection.prefix}${prefix}`,
            EncodingType: 'url',
            ...from,
          }),
          abortable(signal),
        ),
    )
    const entry = (found: VersionEntry, sizeBytes?: number) => ({
      key: decodeKey(found.Key ?? '').slice(connection.prefix.length),
      version: found.VersionId ?? '',
      at: found.LastModified?.getTime() ?? 0,
      sizeBytes,
    })
    const found = [
      ...held,
      ...(page.Versions ?? []).map((version) => entry(version, version.Size ?? 0)),
      ...(page.DeleteMarkers ?? []).map((mark) => entry(mark)),
    ].filter(({ key }) => key.split('/').every(isKeyPart))
    found.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    marker =
      page.IsTruncated === true
        ? {
            ...(page.NextKeyMarker === undefined ? {} : { KeyMarker: decodeKey(page.NextKeyMarker) }),
            ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
          }
        : undefined
    // The versions of the last key of a page may go on in the next one.
    const lastKey = marker === undefined ? undefined : found.at(-1)?.key
    held = found.filter(({ key }) => key === lastKey)
    yield* found.filter(({ key }) => key !== lastKey)
  }
}
