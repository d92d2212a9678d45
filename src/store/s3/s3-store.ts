import { randomUUID } from 'node:crypto'
import { GetObjectLockConfigurationCommand, PutObjectRetentionCommand } from '@aws-sdk/client-s3'
import { Fault } from '../../std/fault.ts'
import { storeFaults } from '../faults.ts'
import { assertObjectKey, isKeyPart } from '../object-key.ts'
import type { ObjectStore, StoreOptions, StoredObject } from '../object-store.ts'
import { connectS3, type S3Connection } from './s3-connection.ts'
import {
  abortable,
  deleteObject,
  getObject,
  getRange,
  listPage,
  lockedUntil,
  lookAt,
  putObject,
  statusOf,
} from './s3-objects.ts'
import type { S3Facts, S3Place } from './s3-objects.ts'
import type { ObjectLock, S3StoreOptions } from './s3-options.ts'

/** Created once in each place, to see whether the server refuses to create it again. No key: it begins with a dot. */
export const touchstone = '.holdfast/write-once'
/** Bytes that were damaged on the way are read again so often. */
const readAttempts = 3

/**
 * A store in an S3 bucket. An object is one PUT with `If-None-Match: *`, which the server carries out whole or not at all
 * and for one creator only; whether it does is tried out before the first object of a process. Everything is retried as
 * `persist` describes. On a versioned bucket `delete` hides an object, and `asOf` finds it again (`openS3PastStore`).
 */
export async function openS3Store(options: S3StoreOptions): Promise<ObjectStore> {
  const connection = connectS3(options)
  try {
    await listOne(connection, options.signal)
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
  const creator = new Creator(connection, options)
  const { lock } = options
  return {
    description: connection.description,
    create: async (key, body, { signal } = {}) => creator.create(placeOf(connection, key), key, body, signal),
    read: async (key, { signal } = {}) => readWhole(connection, placeOf(connection, key), key, signal),
    readRange: async (key, offset, length, { signal } = {}) =>
      readPart(connection, placeOf(connection, key), key, { offset, length, signal }),
    size: async (key, { signal } = {}) => (await look(connection, placeOf(connection, key), key, signal))?.sizeBytes,
    list: (prefix, listOptions = {}) => listObjects(connection, prefix, listOptions),
    delete: async (key, { signal } = {}) => {
      const place = placeOf(connection, key)
      await connection.call(`delete object ${key}`, signal, (client) => deleteObject({ client, signal }, place))
    },
    ...(lock === undefined
      ? {}
      : {
          renewLock: async (key, { signal } = {}) =>
            await renewLock(connection, placeOf(connection, key), key, lock, signal),
        }),
    [Symbol.asyncDispose]: async () => connection[Symbol.dispose](),
  }
}

/** Fails as clearly as possible when the bucket cannot be used: absent, not ours, not S3 at all. */
export async function listOne(connection: S3Connection, signal: AbortSignal | undefined): Promise<void> {
  await connection.call('list objects', signal, (client) =>
    listPage({ client, signal }, connection.bucket, connection.prefix, { most: 1 }),
  )
}

function placeOf(connection: S3Connection, key: string): S3Place {
  assertObjectKey(key)
  return { bucket: connection.bucket, key: `${connection.prefix}${key}` }
}

/** Creates objects, having found out first whether the server does it only once. */
class Creator {
  readonly #connection: S3Connection
  readonly #options: S3StoreOptions
  #conditional: Promise<boolean> | undefined
  /** Where the server decides nothing, at least creators of this process wait for each other. */
  readonly #emulated = new Map<string, Promise<unknown>>()

  constructor(connection: S3Connection, options: S3StoreOptions) {
    this.#connection = connection
    this.#options = options
  }

  async create(place: S3Place, key: string, body: Uint8Array, signal: AbortSignal | undefined): Promise<Outcome> {
    signal?.throwIfAborted()
    if (await this.#isConditional(signal)) return await this.#createConditional(place, key, body, signal)
    const before = this.#emulated.get(key) ?? Promise.resolve()
    const own = before.then(
      () => this.#createUnconditional(place, key, body, signal),
      () => this.#createUnconditional(place, key, body, signal),
    )
    this.#emulated.set(key, own)
    try {
      return await own
    } finally {
      if (this.#emulated.get(key) === own) this.#emulated.delete(key)
    }
  }

  async #createConditional(
    place: S3Place,
    key: string,
    body: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    const writer = randomUUID()
    let uncertain = false
    return await this.#connection.call(`write object ${key}`, signal, async (client) => {
      if (uncertain) {
        const present = await lookIfThere({ client, signal }, place)
        if (present !== undefined) return present.writer === writer ? 'created' : 'exists'
      }
      try {
        await putObject({ client, signal }, place, body, { writer, conditional: true, lock: this.#lock() })
        return 'created'
      } catch (error) {
        if (statusOf(error) === 412) return 'exists'
        // Whatever it was, the next attempt looks first: it may have been carried out.
        uncertain = true
        throw error
      }
    })
  }

  /** Look, write, and look whose it is. Two processes at the same moment may both believe that they were first. */
  async #createUnconditional(
    place: S3Place,
    key: string,
    body: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    const writer = randomUUID()
    return await this.#connection.call(`write object ${key}`, signal, async (client) => {
      const before = await lookIfThere({ client, signal }, place)
      if (before !== undefined) return before.writer === writer ? 'created' : 'exists'
      await putObject({ client, signal }, place, body, { writer, conditional: false, lock: this.#lock() })
      const after = await lookIfThere({ client, signal }, place)
      return after?.writer === writer ? 'created' : 'exists'
    })
  }

  #lock(): (S3StoreOptions['lock'] & { readonly now: number }) | undefined {
    const { lock } = this.#options
    return lock === undefined ? undefined : { ...lock, now: this.#connection.serverNow() }
  }

  async #isConditional(signal: AbortSignal | undefined): Promise<boolean> {
    this.#conditional ??= this.#tryOut(signal)
    try {
      return await this.#conditional
    } catch (error) {
      this.#conditional = undefined
      throw error
    }
  }

  async #tryOut(signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#options.lock !== undefined) await requireLock(this.#connection, signal)
    const answer = await createsOnce(this.#connection, signal)
    if (answer === 'obeyed') return true
    if (this.#options.conditionalCreate === 'emulated') return false
    const { description } = this.#connection
    const how = answer === 'ignored' ? 'ignores the condition "only if absent"' : 'knows no condition "only if absent"'
    const message = `Cannot write into ${description} safely: the server ${how}`
    throw new Fault(storeFaults['store-unconditional'], message, { details: { store: description } })
  }
}

/** Throws `store-lock-unsupported`, which a bucket without object lock would otherwise say in a hundred ways. */
async function requireLock(connection: S3Connection, signal: AbortSignal | undefined): Promise<void> {
  await connection.call('lock objects', signal, async (client) => {
    try {
      await client.send(new GetObjectLockConfigurationCommand({ Bucket: connection.bucket }), abortable(signal))
    } catch (error) {
      // Not everybody who may write may ask this; then the first object shows it.
      if (statusOf(error) !== 403) throw error
    }
  })
}

type Outcome = 'created' | 'exists'

/** Whether the server refuses to create what is there: the second of two such requests must fail. */
export async function createsOnce(
  connection: S3Connection,
  signal: AbortSignal | undefined,
): Promise<'obeyed' | 'ignored' | 'unknown'> {
  const place = { bucket: connection.bucket, key: `${connection.prefix}${touchstone}` }
  const attempt = async (): Promise<'refused' | 'written' | 'unknown'> =>
    await connection.call('find out how objects are created', signal, async (client) => {
      try {
        const body = Buffer.from('Holdfast sees by this object whether the store creates an object only once.\n')
        await putObject({ client, signal }, place, body, { writer: randomUUID(), conditional: true, lock: undefined })
        return 'written'
      } catch (error) {
        if (statusOf(error) === 412) return 'refused'
        if (statusOf(error) === 501) return 'unknown'
        throw error
      }
    })
  for (let count = 0; count < 2; count += 1) {
    const answer = await attempt()
    if (answer !== 'written') return answer === 'refused' ? 'obeyed' : 'unknown'
  }
  return 'ignored'
}

export async function readWhole(
  connection: S3Connection,
  place: S3Place,
  key: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt += 1) {
    const { bytes, intact } = await connection.call(`read object ${key}`, signal, (client) =>
      getObject({ client, signal }, place),
    )
    // What stays wrong is given as it is: every object has a check of its own that says what is wrong with it.
    if (intact || attempt === readAttempts) return bytes
  }
}

export async function readPart(
  connection: S3Connection,
  place: S3Place,
  key: string,
  range: { readonly offset: number; readonly length: number; readonly signal: AbortSignal | undefined },
): Promise<Uint8Array> {
  const { offset, length, signal } = range
  return await connection.call(`read object ${key}`, signal, async (client) => {
    if (length > 0) return await getRange({ client, signal }, place, offset, length)
    await lookAt({ client, signal }, place)
    return new Uint8Array(0)
  })
}

async function look(
  connection: S3Connection,
  place: S3Place,
  key: string,
  signal: AbortSignal | undefined,
): Promise<S3Facts | undefined> {
  return await connection.call(`look up object ${key}`, signal, (client) => lookIfThere({ client, signal }, place))
}

async function lookIfThere(request: Parameters<typeof lookAt>[0], place: S3Place): Promise<S3Facts | undefined> {
  try {
    return await lookAt(request, place)
  } catch (error) {
    // A bucket that is missing has another name.
    if (error instanceof Error && (error.name === 'NoSuchKey' || error.name === 'NotFound')) return undefined
    throw error
  }
}

async function* listObjects(
  connection: S3Connection,
  prefix: string,
  { signal }: StoreOptions,
): AsyncIterable<StoredObject> {
  if (prefix.split('/').some((part) => part.startsWith('.'))) return
  let after: string | undefined
  let last = ''
  do {
    signal?.throwIfAborted()
    const page = await connection.call(`list ${prefix === '' ? 'objects' : prefix}`, signal, (client) =>
      listPage({ client, signal }, connection.bucket, `${connection.prefix}${prefix}`, { after }),
    )
    for (const { key: whole, sizeBytes } of page.objects) {
      const key = whole.slice(connection.prefix.length)
      if (!key.split('/').every(isKeyPart)) continue
      if (key <= last) throw disordered(connection, last, key)
      last = key
      yield { key, sizeBytes }
    }
    after = page.next
  } while (after !== undefined)
}

function disordered(connection: S3Connection, before: string, after: string): Fault {
  const message = `Cannot list ${connection.description}: ${after} comes after ${before}, which is not the order of bytes`
  return new Fault(storeFaults['store-protocol-unexpected'], message, {
    hint: 'Use a general purpose bucket; directory buckets list in no order.',
    details: { before, after },
  })
}

/** A retention date is only ever moved further away, so asking again does no harm. */
async function renewLock(
  connection: S3Connection,
  place: S3Place,
  key: string,
  { mode, days }: ObjectLock,
  signal: AbortSignal | undefined,
): Promise<void> {
  await connection.call(`lock object ${key}`, signal, async (client) => {
    const until = lockedUntil(connection.serverNow(), days)
    const present = await lookAt({ client, signal }, place)
    if (present.lockedUntil !== undefined && present.lockedUntil >= until.getTime()) return
    const command = new PutObjectRetentionCommand({
      Bucket: place.bucket,
      Key: place.key,
      Retention: { Mode: mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE', RetainUntilDate: until },
    })
    await client.send(command, abortable(signal))
  })
}
