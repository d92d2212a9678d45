import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'

/** What becomes of one request. Without any of these it passes unchanged. */
export type Meddling =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Record<string, string>
      readonly body?: string
    }
  /** The client's connection breaks after so many bytes of its body; the server never sees the request. */
  | { readonly kind: 'cut-request'; readonly afterBytes: number }
  /** The server gets a shorter body that looks whole. */
  | { readonly kind: 'shorten-request'; readonly toBytes: number }
  /** The answer gets another status. */
  | { readonly kind: 'change-status'; readonly from: number; readonly to: number }
  /** The server carries it out, and the client's connection breaks before the answer. */
  | { readonly kind: 'lose-answer' }
  /** The connection breaks in the middle of the answer's body. */
  | { readonly kind: 'cut-answer'; readonly afterBytes: number }
  | { readonly kind: 'flip-bit'; readonly atByte: number }
  /** A shorter body that says of itself that it is whole. */
  | { readonly kind: 'truncate'; readonly toBytes: number }
  | { readonly kind: 'never-answer' }
  /** The answer comes without these headers. */
  | { readonly kind: 'drop-answer-headers'; readonly names: readonly string[] }
  /** The request goes to the server without these headers. */
  | { readonly kind: 'drop-request-headers'; readonly names: readonly string[] }
  /** Something of the test's own answers. */
  | {
      readonly kind: 'handle'
      readonly handle: (
        seen: SeenRequest,
        body: Buffer,
      ) => Promise<{ status: number; headers?: Record<string, string>; body?: string }>
    }

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

/** Stands before a real server and is the bad network, the bad day and the bad server. */
export interface FaultProxy extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Every request since the rule was set. */
  readonly seen: readonly SeenRequest[]
  /** Decides about each request, `count` from 0 since the rule was set. */
  setRule(rule: Rule | undefined): void
}

export type Rule = (seen: SeenRequest, count: number) => Meddling | undefined

export async function startFaultProxy(serverPort: number): Promise<FaultProxy> {
  let rule: Rule | undefined
  let seen: SeenRequest[] = []
  const server = createServer((incoming, outgoing) => {
    const facts = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers }
    const meddling = rule?.(facts, seen.length)
    seen.push(facts)
    pass(serverPort, incoming, outgoing, meddling).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    url: `http://127.0.0.1:${address.port}`,
    get seen() {
      return seen
    },
    setRule: (next) => {
      rule = next
      seen = []
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function pass(
  port: number,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  meddling: Meddling | undefined,
): Promise<void> {
  const cutAfter = meddling?.kind === 'cut-request' ? meddling.afterBytes : Infinity
  const { socket } = incoming
  const body = await collect(incoming, cutAfter)
  if (meddling?.kind === 'cut-request') {
    socket.destroy()
    return
  }
  if (meddling?.kind === 'never-answer') return
  if (meddling?.kind === 'answer') {
    outgoing.writeHead(meddling.status, meddling.headers).end(meddling.body)
    return
  }
  if (meddling?.kind === 'handle') {
    const facts = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers }
    const answer = await meddling.handle(facts, body)
    outgoing.writeHead(answer.status, answer.headers).end(answer.body)
    return
  }
  const dropped = meddling?.kind === 'drop-request-headers' ? meddling.names : []
  const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !dropped.includes(name)))
  const sent = meddling?.kind === 'shorten-request' ? body.subarray(0, meddling.toBytes) : body
  if (headers['content-length'] !== undefined) headers['content-length'] = String(sent.length)
  const answer = await forward(port, incoming, headers, sent)
  if (meddling?.kind === 'lose-answer') {
    socket.destroy()
    return
  }
  deliver(outgoing, answer, meddling)
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: Buffer
}

function deliver(outgoing: ServerResponse, { status, headers, body }: Answer, meddling: Meddling | undefined): void {
  const kept = { ...headers }
  if (meddling?.kind === 'drop-answer-headers') {
    for (const name of meddling.names) delete kept[name]
    // Otherwise Node.js adds one of its own.
    if (meddling.names.includes('date')) outgoing.sendDate = false
  }
  if (meddling?.kind === 'flip-bit' && meddling.atByte < body.length) body[meddling.atByte]! ^= 1
  const sent = meddling?.kind === 'truncate' ? body.subarray(0, meddling.toBytes) : body
  delete kept['transfer-encoding']
  if (outgoing.req.method !== 'HEAD') kept['content-length'] = String(sent.length)
  const changed = meddling?.kind === 'change-status' && meddling.from === status ? meddling.to : status
  outgoing.writeHead(changed, kept as Record<string, string>)
  if (meddling?.kind === 'cut-answer') {
    outgoing.write(sent.subarray(0, meddling.afterBytes), () => outgoing.destroy())
    return
  }
  outgoing.end(sent)
}

function forward(
  port: number,
  incoming: IncomingMessage,
  headers: IncomingMessage['headers'],
  body: Buffer,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method, url: path } = incoming
    const asked = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      collect(response, Infinity).then(
        (received) => resolve({ status: response.statusCode ?? 500, headers: response.headers, body: received }),
        reject,
      )
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

async function collect(stream: IncomingMessage, mostBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= mostBytes) break
  }
  return Buffer.concat(chunks)
}
