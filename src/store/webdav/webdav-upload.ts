import { createHash, randomUUID } from 'node:crypto'
import { RequestFailure } from '../request-fault.ts'
import { refuse, type Send, type WebDavConnection } from './webdav-connection.ts'
import { propfind } from './webdav-listing.ts'

/** Nextcloud takes pieces from 5 MB on; most of its proxies let 10 MB pass. */
const defaultChunkBytes = 10 * 1024 * 1024

export interface Upload {
  readonly path: string
  readonly body: Uint8Array
  readonly chunkBytes: number | undefined
  /** The file is read back and compared: after trouble, and on servers that keep parts of files. */
  readonly doubtful: boolean
  readonly signal: AbortSignal | undefined
}

/**
 * Writes a file that nobody else knows of yet, and makes sure that it arrived whole. Throws a passing failure when not: the
 * caller tries again under another name, so that a late end of this attempt cannot spoil the next.
 */
export async function uploadFile(send: Send, connection: WebDavConnection, upload: Upload): Promise<void> {
  const { path, body, signal } = upload
  const uploads = nextcloudUploads(connection.base)
  if (uploads !== undefined && body.length > (upload.chunkBytes ?? defaultChunkBytes)) {
    await uploadInPieces(send, connection, uploads, upload)
  } else {
    const headers = { 'content-type': 'application/octet-stream' }
    const answer = await send({ method: 'PUT', path: `${connection.base}${path}`, headers, body, signal })
    if (answer.status !== 201 && answer.status !== 204 && answer.status !== 200) throw refuse(answer, Date.now())
  }
  const found = await propfind(send, connection, path, { depth: 0, signal })
  const sizeBytes = found?.entries[0]?.sizeBytes
  if (sizeBytes !== body.length) throw incomplete(`${sizeBytes ?? 'none'} of ${body.length} bytes arrived`)
  if (!upload.doubtful) return
  const back = await send({ method: 'GET', path: `${connection.base}${path}`, signal })
  if (back.status !== 200 || hashOf(back.body) !== hashOf(body)) throw incomplete('other bytes arrived than were sent')
}

/** The address of unfinished uploads, where the folder is one of a Nextcloud. */
function nextcloudUploads(base: string): string | undefined {
  const found = /^(.*\/remote\.php\/dav)\/files\/([^/]+)(?:\/|$)/.exec(base)
  return found === null ? undefined : `${found[1]}/uploads/${found[2]}`
}

/** Nextcloud's chunked upload, version 2: a folder of numbered pieces that a MOVE joins. */
async function uploadInPieces(
  send: Send,
  connection: WebDavConnection,
  uploads: string,
  { path, body, chunkBytes = defaultChunkBytes, signal }: Upload,
): Promise<void> {
  const folder = `${uploads}/holdfast-${randomUUID()}`
  const headers = {
    destination: `${connection.origin}${connection.base}${path}`,
    'oc-total-length': String(body.length),
  }
  const made = await send({ method: 'MKCOL', path: folder, headers, signal })
  if (made.status !== 201) throw refuse(made, Date.now())
  try {
    for (let offset = 0, number = 1; offset < body.length; offset += chunkBytes, number += 1) {
      const piece = body.subarray(offset, offset + chunkBytes)
      const name = `${folder}/${String(number).padStart(5, '0')}`
      const put = await send({ method: 'PUT', path: name, headers, body: piece, signal })
      if (put.status !== 201 && put.status !== 204) throw refuse(put, Date.now())
    }
    const joined = await send({ method: 'MOVE', path: `${folder}/.file`, headers, signal })
    if (joined.status !== 201 && joined.status !== 204) throw refuse(joined, Date.now())
  } catch (error) {
    // Nextcloud itself removes unfinished uploads after a day.
    await send({ method: 'DELETE', path: folder, signal: undefined }).catch(() => undefined)
    throw error
  }
}

function incomplete(reason: string): RequestFailure {
  return new RequestFailure({ kind: 'unreachable', reason, passing: true, uncertain: false }, undefined)
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
