import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../src/postgres/port.ts'
import { createTestDirectory } from '../postgres.ts'
import type { WebDavServer } from './apache.ts'
import { startProcess, waitForHttp } from './server-process.ts'

const program = '/usr/bin/rclone'

export const rcloneMissing = existsSync(program) ? undefined : 'rclone is not installed'

/** rclone's WebDAV: ignores conditions of PUT, makes directories twice, keeps what arrived of a file that was cut off. */
export async function startRclone(): Promise<WebDavServer> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await createTestDirectory())
  const root = join(path, 'root')
  await mkdir(root)
  const port = await freePort()
  const [user, password] = ['holdfast', 'app password']
  const logFile = join(path, 'rclone.out')
  const words = ['serve', 'webdav', root, '--addr', `127.0.0.1:${port}`, '--config', '/dev/null']
  const server = stack.use(
    await startProcess(program, words, {
      logFile,
      environment: { RCLONE_USER: user, RCLONE_PASS: password, HOME: path },
    }),
  )
  await waitForHttp(server, port, '/', logFile)
  const owned = stack.move()
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    user,
    password,
    root,
    directory: path,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
