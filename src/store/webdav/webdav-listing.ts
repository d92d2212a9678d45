import { parseXML } from 'webdav'
import { RequestFailure } from '../request-fault.ts'
import { refuse, type Send, type WebDavConnection } from './webdav-connection.ts'

/** One file or folder as PROPFIND tells it. */
export interface DavEntry {
  /** The last part of its path; empty for what was asked about itself. */
  readonly name: string
  readonly folder: boolean
  readonly sizeBytes: number
  /** Milliseconds since 1970, by the server's clock. */
  readonly changedAt: number | undefined
}

const question = Buffer.from(
  '<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/><d:getcontentlength/><d:getlastmodified/></d:prop></d:propfind>',
)

/** What PROPFIND tells of a path and, with depth 1, of what is in it; undefined when there is nothing. */
export async function propfind(
  send: Send,
  connection: WebDavConnection,
  path: string,
  options: { readonly depth: 0 | 1; readonly signal: AbortSignal | undefined },
): Promise<{ readonly entries: readonly DavEntry[]; readonly serverNow: number | undefined } | undefined> {
  const whole = `${connection.base}${path}`
  const answer = await send({
    method: 'PROPFIND',
    // Some servers redirect a folder's name without its slash.
    path: options.depth === 1 || path === '' ? `${whole}/` : whole,
    headers: { depth: String(options.depth), 'content-type': 'application/xml' },
    body: question,
    signal: options.signal,
  })
  if (answer.status === 404 || answer.status === 301 || answer.status === 302) return undefined
  // Apache's answer to a path that leads through a file.
  if (answer.status === 400 && (await isBelowFile(send, connection, path, options.signal))) return undefined
  if (answer.status !== 207) throw refuse(answer, Date.now())
  const date = Date.parse(answer.headers.date ?? '')
  const serverNow = Number.isNaN(date) ? undefined : date
  return { entries: await readEntries(answer.body, decodePath(whole)), serverNow }
}

async function isBelowFile(
  send: Send,
  connection: WebDavConnection,
  path: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const above = path.slice(0, path.lastIndexOf('/'))
  if (above === '') return false
  const found = await propfind(send, connection, above, { depth: 0, signal })
  return found?.entries[0]?.folder !== true
}

async function readEntries(body: Uint8Array, own: string): Promise<readonly DavEntry[]> {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
  const entries: DavEntry[] = []
  for (const response of await parse(text)) {
    const prop = response.propstat?.prop
    const path = decodePath(response.href)
    if (prop === undefined || (path !== own && !path.startsWith(`${own}/`))) continue
    const size = Number(prop.getcontentlength ?? 0)
    const changedAt = Date.parse(prop.getlastmodified ?? '')
    entries.push({
      name: path.slice(own.length + 1),
      folder: typeof prop.resourcetype === 'object' && 'collection' in prop.resourcetype,
      sizeBytes: Number.isSafeInteger(size) ? size : 0,
      changedAt: Number.isNaN(changedAt) ? undefined : changedAt,
    })
  }
  return entries
}

type Responses = Awaited<ReturnType<typeof parseXML>>['multistatus']['response']

async function parse(text: string): Promise<Responses> {
  try {
    return (await parseXML(text)).multistatus.response
  } catch (error) {
    const reason = 'its answer is not that of WebDAV'
    throw new RequestFailure({ kind: 'protocol', reason, passing: false, uncertain: false }, error)
  }
}

/** The path of an `href`, which may be a whole address, decoded and without slashes at its end. */
function decodePath(href: string): string {
  const path = /^https?:\/\//i.test(href) ? new URL(href).pathname : href
  try {
    return decodeURIComponent(path).replace(/\/+$/, '')
  } catch {
    return path.replace(/\/+$/, '')
  }
}
