import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { Fault } from '../../std/fault.ts'
import { readRetryAfter } from '../core/trouble.ts'
import { storeFaults } from '../faults.ts'
import { persist } from '../persist.ts'
import { RequestFailure } from '../request-fault.ts'
import { judgeS3Error } from './core/s3-error.ts'
import type { S3StoreOptions } from './s3-options.ts'

const connectTimeoutMs = 10_000
const defaultIdleTimeoutMs = 30_000
const defaultPatienceMs = 15_000
const largestParallel = 32

/** A client of one bucket. Every request is judged, waited for and tried again here, in one way. */
export interface S3Connection extends Disposable {
  readonly bucket: string
  /** Empty, or ends with a slash. */
  readonly prefix: string
  readonly description: string
  /** The time as the server sees it, as far as its answers have told. */
  serverNow(): number
  call<Result>(
    action: string,
    signal: AbortSignal | undefined,
    request: (client: S3Client) => Promise<Result>,
  ): Promise<Result>
}

/** Opens nothing yet: the first request connects. */
export function connectS3(options: S3StoreOptions): S3Connection {
  const prefix = options.prefix ? `${options.prefix.replace(/^\/+|\/+$/g, '')}/` : ''
  const place = `${options.bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}`
  const description = `S3 bucket ${place}${options.endpoint === undefined ? '' : ` at ${options.endpoint}`}`
  let client = makeClient(options)
  return {
    bucket: options.bucket,
    prefix,
    description,
    serverNow: () => Date.now() + client.config.systemClockOffset,
    call: (action, signal, request) =>
      persist(
        {
          action,
          store: description,
          signal,
          clock: options.clock,
          random: Math.random,
          patienceMs: options.patienceMs ?? defaultPatienceMs,
          renew: async () => {
            // A client remembers its credentials; a new one reads them anew.
            client.destroy()
            client = makeClient(options)
            return true
          },
        },
        async () => {
          const offset = client.config.systemClockOffset
          try {
            return await request(client)
          } catch (error) {
            throw failureOf(error, options, Math.abs(client.config.systemClockOffset - offset) > 1000)
          }
        },
      ),
    [Symbol.dispose]: () => client.destroy(),
  }
}

function makeClient(options: S3StoreOptions): S3Client {
  const { endpoint, credentials, certificateAuthority, clock } = options
  const agent = { keepAlive: true, maxSockets: largestParallel }
  const config: S3ClientConfig = {
    maxAttempts: 1,
    // Only what we ask for: servers other than Amazon's stumble over checksums in trailers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Otherwise a connection of its own, without keep-alive, for every object over 2 MiB.
    expectContinueHeader: false,
    forcePathStyle: options.pathStyle ?? endpoint !== undefined,
    systemClockOffset: clock.wall() - Date.now(),
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectTimeoutMs,
      socketTimeout: options.idleTimeoutMs ?? defaultIdleTimeoutMs,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({
        ...agent,
        ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }),
      }),
    }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: async () => {
            const { accessKeyId, secretAccessKey, sessionToken } = (await credentials()).reveal()
            return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
          },
        }),
  }
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  return new S3Client(region === undefined ? config : { ...config, region })
}

interface SdkError extends Error {
  readonly code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>>; readonly statusCode?: number }
}

/** A fault, an abort or a bug of ours passes through. */
function failureOf(error: unknown, options: S3StoreOptions, clockCorrected: boolean): unknown {
  if (!(error instanceof Error) || error instanceof Fault || error instanceof RequestFailure) return error
  const { name, message, code, $metadata, $response } = error as SdkError
  if (name === 'AbortError') return error
  if (name === 'Error' && /region is missing/i.test(message)) return regionMissing(options, error)
  const known = typeof code === 'string' ? code : name
  const facts = {
    code: name === 'TimeoutError' ? name : known,
    message,
    status: $metadata?.httpStatusCode ?? $response?.statusCode,
    waitMs: readRetryAfter($response?.headers?.['retry-after'], options.clock.wall()),
    clockCorrected,
    region: $response?.headers?.['x-amz-bucket-region'],
  }
  return new RequestFailure(judgeS3Error(facts), error)
}

function regionMissing(options: S3StoreOptions, cause: unknown): Fault {
  const message = `Cannot open the S3 bucket ${options.bucket}: neither the configuration nor the environment names its region`
  return new Fault(storeFaults['store-protocol-unexpected'], message, {
    hint: 'Set `region` in the configuration, or AWS_REGION.',
    cause,
  })
}
