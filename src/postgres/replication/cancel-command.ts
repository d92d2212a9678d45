import { connect } from 'node:net'
import type { ConnectionTarget } from '../connection-target.ts'
import type { TakenSocket } from './take-over-socket.ts'

const cancelRequestCode = 80_877_102
const withinMs = 1000

/**
 * Asks the server to cancel what our session is doing. A session that waits for a checkpoint does not look at its socket,
 * so closing the socket alone leaves it and its backup behind until the checkpoint ends. The request goes unencrypted, as
 * libpq's does; the key in it can cancel, and nothing else. It is best effort: the session ends anyway, only later.
 */
export function cancelCommand(target: ConnectionTarget, session: TakenSocket): Promise<void> {
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(cancelRequestCode, 4)
  request.writeInt32BE(session.processId, 8)
  request.writeInt32BE(session.secretKey, 12)
  return new Promise((resolve) => {
    const socket = target.host.startsWith('/')
      ? connect(`${target.host}/.s.PGSQL.${target.port}`)
      : connect(target.port, target.host)
    const timer = setTimeout(() => socket.destroy(), withinMs)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.end(request)
    socket.resume()
  })
}
