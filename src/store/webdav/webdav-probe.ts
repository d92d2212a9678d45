import { good, judgeClock, unknown, weak, type AdapterProbe, type Finding } from '../probe/finding.ts'
import { attempt } from '../probe/probe-store.ts'
import { connectWebDav, type WebDavConnection } from './webdav-connection.ts'
import { ownFolder, WebDavCreator } from './webdav-creator.ts'
import { propfind } from './webdav-listing.ts'
import type { WebDavStoreOptions } from './webdav-options.ts'

/** What only WebDAV has: how creators are kept apart, a clock of its own. */
export async function probeWebDav(
  options: WebDavStoreOptions,
  { prefix, signal }: { readonly prefix: string; readonly signal: AbortSignal },
): Promise<AdapterProbe> {
  const connection = connectWebDav(options)
  const look = (path: string) =>
    connection.call('look at the folder', signal, (send) => propfind(send, connection, path, { depth: 0, signal }))
  const before = (await look(ownFolder)) !== undefined
  const creator = new WebDavCreator(connection, options)
  const exclusion = await attempt('exclusion', async () => judgeExclusion(await creator.exclusion(signal)))
  const serverNow = (await look(''))?.serverNow
  const clock =
    serverNow === undefined ? unknown('clock', 'the server does not tell its time') : judgeClock(serverNow - Date.now())
  return {
    findings: [exclusion, clock],
    cleanUp: async () => {
      using owned = connection
      const left: string[] = []
      for (const path of [`/${prefix}`, ...(before ? [] : [ownFolder])]) {
        if (!(await removeFolder(owned, path))) left.push(path.slice(1))
      }
      return left
    },
  }
}

function judgeExclusion(exclusion: Awaited<ReturnType<WebDavCreator['exclusion']>>): Finding {
  const check = 'exclusion'
  if (exclusion === 'folders')
    return good(check, 'a folder is made by one of several creators only: keys are claimed by it')
  if (exclusion === 'moves')
    return good(check, 'a file is moved to a name by one of several only (folders are made twice)')
  return weak(check, 'neither folders nor moves keep creators apart; safe as a copy, not where several processes write')
}

async function removeFolder({ base, send }: WebDavConnection, path: string): Promise<boolean> {
  const answer = await send({ method: 'DELETE', path: `${base}${path}`, signal: undefined }).catch(() => undefined)
  return answer !== undefined && (answer.status < 300 || answer.status === 404)
}
