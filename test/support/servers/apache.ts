import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../src/postgres/port.ts'
import { runProgram } from '../../../src/std/run-program.ts'
import { createTestDirectory } from '../postgres.ts'
import { makeCertificate } from './ceph.ts'
import { serverPath, startProcess, waitForHttp } from './server-process.ts'

export interface WebDavServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly user: string
  readonly password: string
  /** What the server serves, on this machine's own disk. */
  readonly root: string
  readonly directory: string
}

export interface ApacheServer extends WebDavServer {
  readonly urlTls: string
  readonly caFile: string
  /** From now on this one opens the server. */
  readonly setPassword: (password: string) => Promise<void>
}

const program = '/usr/sbin/apache2'
const modules = '/usr/lib/apache2/modules'

export const apacheMissing = existsSync(program) ? undefined : 'Apache (apache2-bin) is not installed'

/** Apache with mod_dav: honest WebDAV, with a user, and over TLS as well. Its disk may be a small one. */
export async function startApache(
  options: { readonly launcher?: (root: string) => Promise<readonly string[]> } = {},
): Promise<ApacheServer> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await createTestDirectory())
  const root = join(path, 'root')
  await mkdir(root)
  await makeCertificate(path)
  const [port, portTls] = [await freePort(), await freePort()]
  const [user, password] = ['holdfast', 'app password']
  const setPassword = async (next: string): Promise<void> => {
    const { stdout } = await runProgram('/usr/bin/openssl', ['passwd', '-apr1', next], {
      environment: { PATH: serverPath },
      deadlineMs: 10_000,
    })
    await writeFile(join(path, 'users'), `${user}:${stdout.trim()}\n`)
  }
  await setPassword(password)
  await writeFile(join(path, 'httpd.conf'), configuration(path, port, portTls))
  const logFile = join(path, 'apache.out')
  const [file, ...words] = [...((await options.launcher?.(root)) ?? []), program]
  const server = stack.use(
    await startProcess(file, [...words, '-f', join(path, 'httpd.conf'), '-DFOREGROUND'], { logFile }),
  )
  await waitForHttp(server, port, '/', logFile)
  const owned = stack.move()
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    urlTls: `https://127.0.0.1:${portTls}`,
    caFile: join(path, 'tls.crt'),
    user,
    password,
    root,
    directory: path,
    setPassword,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function configuration(directory: string, port: number, portTls: number): string {
  const loaded = ['mpm_event', 'authn_core', 'authn_file', 'authz_core', 'authz_user', 'auth_basic', 'dav', 'dav_fs']
  return `ServerRoot ${directory}
ServerName 127.0.0.1
PidFile ${directory}/apache.pid
Mutex file:${directory}
DefaultRuntimeDir ${directory}
ErrorLog ${directory}/error.log
Listen 127.0.0.1:${port}
Listen 127.0.0.1:${portTls}
${[...loaded, 'ssl'].map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join('\n')}
DocumentRoot ${directory}/root
DavLockDB ${directory}/lock
<Directory ${directory}/root>
  Dav On
  DavMinTimeout 600
  AuthType Basic
  AuthName files
  AuthUserFile ${directory}/users
  Require valid-user
</Directory>
<VirtualHost 127.0.0.1:${portTls}>
  SSLEngine on
  SSLCertificateFile ${directory}/tls.crt
  SSLCertificateKeyFile ${directory}/tls.key
</VirtualHost>
`
}
