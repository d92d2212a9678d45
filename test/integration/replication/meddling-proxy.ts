import { connect, createServer, type Socket } from 'node:net'

/** What the proxy does to the bytes from the server once `atByte` of them have passed. */
export type Meddling = 'flip a bit' | 'cut the connection' | 'stop forwarding'

export interface MeddlingProxy extends AsyncDisposable {
  readonly port: number
}

/** Stands between a client and a server on this machine and is the bad network between them. */
export async function startMeddlingProxy(
  serverPort: number,
  meddling: Meddling,
  atByte: number,
): Promise<MeddlingProxy> {
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(serverPort, '127.0.0.1')
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    client.on('data', (chunk) => void server.write(chunk))
    client.on('close', () => void server.destroy())
    server.on('close', () => void client.destroy())
    let passedBytes = 0
    server.on('data', (chunk: Buffer) => {
      const at = atByte - passedBytes
      passedBytes += chunk.length
      const reached = at < chunk.length
      if (reached && meddling === 'cut the connection') client.destroy()
      if (reached && meddling !== 'flip a bit') return
      if (reached && at >= 0) chunk[at]! ^= 1
      if (!client.write(chunk)) {
        server.pause()
        client.once('drain', () => server.resume())
      }
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
