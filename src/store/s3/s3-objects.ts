import { createHash, hash } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type GetObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3'
import { RequestFailure } from '../request-fault.ts'
import type { ObjectLock } from './s3-options.ts'

/** Names in an object's metadata. The hash finds bytes that were damaged on the way back, whatever the server checks. */
const hashName = 'holdfast-sha256'
const writerName = 'holdfast-writer'

/** One object of a bucket under its whole key, `version` when not the current one. */
export interface S3Place {
  readonly bucket: string
  readonly key: string
  readonly version?: string | undefined
}

export interface S3Request {
  readonly client: S3Client
  readonly signal: AbortSignal | undefined
}

export interface S3Facts {
  readonly sizeBytes: number
  /** Who created it, when we did. */
  readonly writer: string | undefined
  readonly lockedUntil: number | undefined
}

export interface PutOptions {
  /** Names this attempt to create the object, so that it is recognised when the answer was lost. */
  readonly writer: string
  readonly conditional: boolean
  readonly lock: (ObjectLock & { readonly now: number }) | undefined
}

const dayMs = 86_400_000

/** Sends an object whole, in one request, with checksums that the server compares. */
export async function putObject(
  { client, signal }: S3Request,
  { bucket, key }: S3Place,
  body: Uint8Array,
  { writer, conditional, lock }: PutOptions,
): Promise<void> {
  const digest = createHash('sha256').update(body).digest()
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: key,
    Body: body,
    ContentLength: body.length,
    ContentType: 'application/octet-stream',
    ChecksumSHA256: digest.toString('base64'),
    Metadata: { [hashName]: digest.toString('hex'), [writerName]: writer },
    ...(conditional ? { IfNoneMatch: '*' } : {}),
    ...(lock === undefined
      ? {}
      : {
          ObjectLockMode: lock.mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
          ObjectLockRetainUntilDate: lockedUntil(lock.now, lock.days),
          // Older servers take a lock only together with this one.
          ContentMD5: hash('md5', body, 'base64'),
        }),
  })
  // The signature covers the body through this header; given here, the body is not hashed twice.
  command.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { readonly headers: Record<string, string> }
      request.headers['x-amz-content-sha256'] = digest.toString('hex')
      return next(args)
    },
    { step: 'build', name: 'givenPayloadHash' },
  )
  await client.send(command, abortable(signal))
}

/** When a lock of so many days ends; the protocol counts seconds. */
export function lockedUntil(now: number, days: number): Date {
  return new Date(Math.ceil((now + days * dayMs) / 1000) * 1000)
}

/** The whole object. Throws a passing failure when the bytes are not those that were stored, or too few. */
export async function getObject({ client, signal }: S3Request, place: S3Place): Promise<GotObject> {
  const answer = await client.send(new GetObjectCommand(addressOf(place)), abortable(signal))
  const bytes = await bodyOf(answer)
  const expected = answer.Metadata?.[hashName]
  return { bytes, intact: expected === undefined || hash('sha256', bytes, 'hex') === expected }
}

export interface GotObject {
  readonly bytes: Uint8Array
  /** False when the bytes are not those that were stored. */
  readonly intact: boolean
}

/** A part of an object; what lies beyond its end is left out. */
export async function getRange(
  { client, signal }: S3Request,
  place: S3Place,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const range = `bytes=${offset}-${offset + length - 1}`
  try {
    const answer = await client.send(new GetObjectCommand({ ...addressOf(place), Range: range }), abortable(signal))
    const bytes = await bodyOf(answer)
    // A server that knows no ranges sends everything.
    return answer.ContentRange === undefined ? bytes.subarray(offset, offset + length) : bytes
  } catch (error) {
    if (statusOf(error) === 416) return new Uint8Array(0)
    throw error
  }
}

/**
 * Size and origin of an object. Asks for its first byte rather than for its head: only then an error says what it is, and
 * a bucket that is gone does not look like an object that is not there.
 */
export async function lookAt({ client, signal }: S3Request, place: S3Place): Promise<S3Facts> {
  try {
    const command = new GetObjectCommand({ ...addressOf(place), Range: 'bytes=0-0' })
    const answer = await client.send(command, abortable(signal))
    await bodyOf(answer)
    const whole = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1]
    return factsOf(answer, whole === undefined ? (answer.ContentLength ?? 0) : Number(whole))
  } catch (error) {
    // An empty object has no first byte.
    if (statusOf(error) !== 416) throw error
    const answer = await client.send(new HeadObjectCommand(addressOf(place)), abortable(signal))
    return factsOf(answer, answer.ContentLength ?? 0)
  }
}

export async function deleteObject({ client, signal }: S3Request, place: S3Place): Promise<void> {
  await client.send(new DeleteObjectCommand(addressOf(place)), abortable(signal))
}

export interface S3Page {
  readonly objects: readonly { readonly key: string; readonly sizeBytes: number }[]
  readonly next: string | undefined
}

/** Up to a thousand objects whose whole key begins with `prefix`. */
export async function listPage(
  { client, signal }: S3Request,
  bucket: string,
  prefix: string,
  options: { readonly after?: string | undefined; readonly most?: number } = {},
): Promise<S3Page> {
  const answer = await client.send(
    new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix,
      EncodingType: 'url',
      ...(options.after === undefined ? {} : { ContinuationToken: options.after }),
      ...(options.most === undefined ? {} : { MaxKeys: options.most }),
    }),
    abortable(signal),
  )
  const objects = (answer.Contents ?? []).map(({ Key = '', Size = 0 }) => ({ key: decodeKey(Key), sizeBytes: Size }))
  return { objects, next: answer.IsTruncated === true ? answer.NextContinuationToken : undefined }
}

/** A key from a listing with `EncodingType: 'url'`. */
export function decodeKey(encoded: string): string {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '))
  } catch {
    return encoded
  }
}

export function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode
}

function addressOf({ bucket, key, version }: S3Place): { Bucket: string; Key: string; VersionId?: string } {
  return { Bucket: bucket, Key: key, ...(version === undefined ? {} : { VersionId: version }) }
}

function factsOf(
  answer: { Metadata?: Record<string, string> | undefined; ObjectLockRetainUntilDate?: Date | undefined },
  sizeBytes: number,
): S3Facts {
  const lockedUntil = answer.ObjectLockRetainUntilDate?.getTime()
  return { sizeBytes, writer: answer.Metadata?.[writerName], lockedUntil }
}

async function bodyOf({ Body, ContentLength }: GetObjectCommandOutput): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of (Body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    length += chunk.length
  }
  if (ContentLength !== undefined && length !== ContentLength) {
    const reason = `the answer ended after ${length} of ${ContentLength} bytes`
    throw new RequestFailure({ kind: 'unreachable', reason, passing: true, uncertain: true }, undefined)
  }
  // Not from Buffer's pool: callers may hand the whole ArrayBuffer to another thread.
  const bytes = Buffer.allocUnsafeSlow(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
