import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Fault } from '../../std/fault.ts'
import { networkTrouble, readRetryAfter, statusTrouble } from '../core/trouble.ts'
import { persist } from '../persist.ts'
import { RequestFailure } from '../request-fault.ts'
import type { WebDavStoreOptions } from './webdav-options.ts'

/** Long, since Nextcloud takes its time over a first login and over putting large files together. */
const defaultIdleTimeoutMs = 90_000
const defaultPatienceMs = 15_000
const largestParallel = 16

export interface DavRequest {
  readonly method: string
  /** Encoded, from the root of the server. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: Uint8Array | undefined
  readonly signal: AbortSignal | undefined
}

export interface DavAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Uint8Array
}

/** Sends one request and gives back whatever is answered. Throws a `RequestFailure` when nothing, or only a part, is. */
export type Send = (request: DavRequest) => Promise<DavAnswer>

export interface WebDavConnection extends Disposable {
  readonly description: string
  /** `https://host:port`, for `Destination` headers. */
  readonly origin: string
  /** Path of the store's folder, encoded, without a slash at its end. */
  readonly base: string
  /** Once, without retries. */
  readonly send: Send
  /** Does work that sends requests, with retries. An answer that is trouble is thrown with {@link refuse}. */
  call<Result>(
    action: string,
    signal: AbortSignal | undefined,
    work: (send: Send, attempt: number) => Promise<Result>,
  ): Promise<Result>
}

/** A client of one folder of a WebDAV server. Opens nothing yet: the first request connects. */
export function connectWebDav(options: WebDavStoreOptions): WebDavConnection {
  const url = new URL(options.url)
  const secure = url.protocol === 'https:'
  const agentOptions = { keepAlive: true, maxSockets: largestParallel }
  const ca = options.certificateAuthority
  const agent = secure
    ? new HttpsAgent({ ...agentOptions, ...(ca === undefined ? {} : { ca }) })
    : new HttpAgent(agentOptions)
  const base = url.pathname.replace(/\/+$/, '')
  const description = `WebDAV folder ${url.origin}${base}`
  let authorization: Promise<string> | undefined
  const authorize = async (): Promise<string> => {
    const password = (await options.password?.())?.reveal() ?? ''
    return `Basic ${Buffer.from(`${options.user ?? ''}:${password}`).toString('base64')}`
  }
  const send: Send = async (request) => {
    authorization ??= options.user === undefined ? undefined : authorize()
    const given = await authorization
    const headers = { ...(given === undefined ? {} : { authorization: given }), ...request.headers }
    return await exchange({ ...request, headers }, { url, agent, secure, options })
  }
  return {
    description,
    origin: url.origin,
    base,
    send,
    call: (action, signal, work) =>
      persist(
        {
          action,
          store: description,
          signal,
          clock: options.clock,
          random: Math.random,
          patienceMs: options.patienceMs ?? defaultPatienceMs,
          renew: async () => {
            const before = await authorization
            authorization = authorize()
            return (await authorization) !== before
          },
        },
        (attempt) => work(send, attempt),
      ),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

/** Turns an answer that is no success into a failure. */
export function refuse(answer: DavAnswer, now: number): RequestFailure {
  const waitMs = readRetryAfter(answer.headers['retry-after'], now)
  const said = /<[a-z]:message>([^<]{1,200})/i.exec(Buffer.from(answer.body.subarray(0, 4096)).toString('utf8'))?.[1]
  const text = `${answer.status}${said === undefined ? '' : ` (${said})`}`
  return new RequestFailure(statusTrouble(answer.status, text, waitMs), undefined)
}

function exchange(
  { method, path, headers, body, signal }: DavRequest,
  way: {
    readonly url: URL
    readonly agent: HttpAgent | HttpsAgent
    readonly secure: boolean
    readonly options: WebDavStoreOptions
  },
): Promise<DavAnswer> {
  const { url, agent, secure, options } = way
  const idleMs = options.idleTimeoutMs ?? defaultIdleTimeoutMs
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(signal?.aborted === true ? signal.reason : failureOf(error))
    const request = (secure ? httpsRequest : httpRequest)(
      {
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port === '' ? undefined : Number(url.port),
        method,
        path,
        agent,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': body.length }) },
        ...(signal === undefined ? {} : { signal }),
      },
      (response) => {
        receive(response).then(resolve, fail)
      },
    )
    request.setTimeout(idleMs, () => {
      request.destroy(Object.assign(new Error(`nothing for ${idleMs} ms`), { code: 'ETIMEDOUT' }))
    })
    request.on('error', fail)
    request.end(body)
  })
}

async function receive(response: IncomingMessage): Promise<DavAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
  }
  // Not from Buffer's pool: callers may hand the whole ArrayBuffer to another thread.
  const body = Buffer.allocUnsafeSlow(length)
  let offset = 0
  for (const chunk of chunks) offset += chunk.copy(body, offset)
  return { status: response.statusCode ?? 0, headers: response.headers, body }
}

function failureOf(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Fault || error instanceof RequestFailure) return error
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const trouble = networkTrouble(code, error.message)
  return trouble === undefined ? error : new RequestFailure(trouble, error)
}
