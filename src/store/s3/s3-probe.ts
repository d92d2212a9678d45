import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { bad, fact, good, judgeClock, unknown, weak, type AdapterProbe, type Finding } from '../probe/finding.ts'
import { attempt } from '../probe/probe-store.ts'
import { connectS3, type S3Connection } from './s3-connection.ts'
import { abortable, decodeKey, statusOf } from './s3-objects.ts'
import type { S3StoreOptions } from './s3-options.ts'
import { createsOnce, touchstone } from './s3-store.ts'

const lockMs = 60_000

/** What only S3 has: conditions, checksums, versions, locks, a clock of its own. */
export async function probeS3(
  options: S3StoreOptions,
  { prefix, signal }: { readonly prefix: string; readonly signal: AbortSignal },
): Promise<AdapterProbe> {
  const connection = connectS3(options)
  const before = await hasTouchstone(connection, signal)
  const findings: Finding[] = []
  findings.push(await attempt('conditional create', () => probeCondition(connection, signal)))
  findings.push(await attempt('checksums', () => probeChecksums(connection, prefix, signal)))
  const versioned = await isVersioned(connection, signal)
  findings.push(await attempt('object lock', () => probeLock(connection, { prefix, signal, versioned, options })))
  findings.push(judgeClock(connection.serverNow() - Date.now()))
  return {
    findings,
    cleanUp: async () => {
      using owned = connection
      const left = await removeVersions(owned, `${owned.prefix}${prefix}/`)
      return before ? left : [...left, ...(await removeVersions(owned, `${owned.prefix}${touchstone}`))]
    },
  }
}

async function probeCondition(connection: S3Connection, signal: AbortSignal): Promise<Finding> {
  const check = 'conditional create'
  const answer = await createsOnce(connection, signal)
  if (answer === 'obeyed') return good(check, 'If-None-Match is obeyed')
  const how = answer === 'ignored' ? 'ignored: the server overwrites' : 'refused: the server does not know it'
  return weak(check, `If-None-Match is ${how}; safe as a copy, not where several processes write`)
}

/** Sends wrong checksums: the server must refuse the object. */
async function probeChecksums(connection: S3Connection, prefix: string, signal: AbortSignal): Promise<Finding> {
  const check = 'checksums'
  const body = randomBytes(1000)
  const wrong = randomBytes(1000)
  const kinds = {
    'SHA-256': { ChecksumSHA256: createHash('sha256').update(wrong).digest('base64') },
    'Content-MD5': { ContentMD5: createHash('md5').update(wrong).digest('base64') },
    signature: {},
  }
  const checked: string[] = []
  for (const [name, fields] of Object.entries(kinds)) {
    const key = `${connection.prefix}${prefix}/checksum-${randomUUID()}`
    const command = new PutObjectCommand({ Bucket: connection.bucket, Key: key, Body: body, ...fields })
    if (name === 'signature') signWrongly(command, createHash('sha256').update(wrong).digest('hex'))
    const refused = await connection.call('send a wrong checksum', signal, async (client) => {
      try {
        await client.send(command, abortable(signal))
        return false
      } catch (error) {
        if (statusOf(error) === 400 || statusOf(error) === 403) return true
        throw error
      }
    })
    if (refused) checked.push(name)
  }
  if (checked.length === 0) return bad(check, 'none is checked: the server stores what arrives, right or wrong')
  const missing = Object.keys(kinds).filter((name) => !checked.includes(name))
  const rest = missing.length === 0 ? '' : `; not checked: ${missing.join(', ')}`
  return good(check, `a body that was altered on the way is refused by ${checked.join(' and ')}${rest}`)
}

function signWrongly(command: PutObjectCommand, hash: string): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { readonly headers: Record<string, string> }
      request.headers['x-amz-content-sha256'] = hash
      return next(args)
    },
    { step: 'build', name: 'wrongPayloadHash' },
  )
}

async function isVersioned(connection: S3Connection, signal: AbortSignal): Promise<boolean | undefined> {
  return await connection.call('ask for versions', signal, async (client) => {
    try {
      const answer = await client.send(new GetBucketVersioningCommand({ Bucket: connection.bucket }), abortable(signal))
      return answer.Status === 'Enabled'
    } catch (error) {
      if (statusOf(error) === 403 || statusOf(error) === 501 || statusOf(error) === 405) return undefined
      throw error
    }
  })
}

/** Locks an object for a minute and tries to remove its version. */
async function probeLock(
  connection: S3Connection,
  probe: {
    readonly prefix: string
    readonly signal: AbortSignal
    readonly versioned: boolean | undefined
    readonly options: S3StoreOptions
  },
): Promise<Finding> {
  const check = 'object lock'
  const { signal, versioned } = probe
  const wanted = probe.options.lock !== undefined
  const missing = (told: string): Finding =>
    wanted ? bad(check, `${told}, but the configuration asks for it`) : fact(check, told)
  const enabled = await hasLock(connection, signal)
  const kept =
    versioned === true
      ? 'the bucket keeps versions'
      : versioned === false
        ? 'the bucket keeps no versions'
        : 'unknown whether it keeps versions'
  if (enabled === 'no')
    return missing(
      `none; ${kept}, so who has the credentials can ${versioned === true ? 'hide' : 'destroy'} what is there`,
    )
  if (enabled === 'unknown') return unknown(check, `these credentials may not ask for it; ${kept}`)
  const key = `${connection.prefix}${probe.prefix}/locked`
  const until = new Date(connection.serverNow() + lockMs)
  const body = Buffer.from('locked for a minute')
  return await connection.call('lock an object', signal, async (client) => {
    const put = new PutObjectCommand({
      Bucket: connection.bucket,
      Key: key,
      Body: body,
      ContentMD5: createHash('md5').update(body).digest('base64'),
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: until,
    })
    const { VersionId } = await client.send(put, abortable(signal))
    const remove = new DeleteObjectCommand({
      Bucket: connection.bucket,
      Key: key,
      ...(VersionId === undefined ? {} : { VersionId }),
    })
    try {
      await client.send(remove, abortable(signal))
    } catch (error) {
      if (statusOf(error) === 403 || statusOf(error) === 400) return good(check, 'a locked object cannot be removed')
      throw error
    }
    return bad(check, 'a locked object was removed all the same')
  })
}

async function hasLock(connection: S3Connection, signal: AbortSignal): Promise<'yes' | 'no' | 'unknown'> {
  return await connection.call('ask for object lock', signal, async (client) => {
    try {
      const command = new GetObjectLockConfigurationCommand({ Bucket: connection.bucket })
      const answer = await client.send(command, abortable(signal))
      return answer.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled' ? 'yes' : 'no'
    } catch (error) {
      const status = statusOf(error)
      if (status === 403) return 'unknown'
      if (status === 404 || status === 400 || status === 405 || status === 409 || status === 501) return 'no'
      throw error
    }
  })
}

async function hasTouchstone(connection: S3Connection, signal: AbortSignal): Promise<boolean> {
  const found = await versionsOf(connection, `${connection.prefix}${touchstone}`, signal)
  return found.some(({ hidden }) => !hidden)
}

interface Version {
  readonly key: string
  readonly version: string | undefined
  readonly hidden: boolean
}

/** Everything there ever was below a prefix; where the server knows no versions, what is there. */
async function versionsOf(
  connection: S3Connection,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<readonly Version[]> {
  const answer = await connection.call('list versions', signal, async (client) => {
    const asked = { Bucket: connection.bucket, Prefix: prefix, EncodingType: 'url' } as const
    try {
      return await client.send(new ListObjectVersionsCommand(asked), abortable(signal))
    } catch (error) {
      // A server that has no versions, or credentials that may not see them.
      const status = statusOf(error)
      if (status !== 501 && status !== 403 && status !== 405 && status !== 400) throw error
      const { Contents } = await client.send(new ListObjectsV2Command(asked), abortable(signal))
      return { Versions: Contents, DeleteMarkers: undefined }
    }
  })
  const entry =
    (hidden: boolean) =>
    (found: { Key?: string | undefined; VersionId?: string | undefined }): Version => ({
      key: decodeKey(found.Key ?? ''),
      version: found.VersionId === 'null' ? undefined : found.VersionId,
      hidden,
    })
  return [...(answer.Versions ?? []).map(entry(false)), ...(answer.DeleteMarkers ?? []).map(entry(true))]
}

async function removeVersions(connection: S3Connection, prefix: string): Promise<string[]> {
  const left = new Set<string>()
  for (const { key, version } of await versionsOf(connection, prefix, undefined)) {
    const removed = await connection.call('clean up', undefined, (client) =>
      removeVersion(client, connection.bucket, key, version),
    )
    if (!removed) left.add(key)
  }
  return [...left]
}

async function removeVersion(
  client: S3Client,
  bucket: string,
  key: string,
  version: string | undefined,
): Promise<boolean> {
  const place = { Bucket: bucket, Key: key, ...(version === undefined ? {} : { VersionId: version }) }
  for (const lifting of [{}, { BypassGovernanceRetention: true }]) {
    try {
      await client.send(new DeleteObjectCommand({ ...place, ...lifting }))
      return true
    } catch (error) {
      if (statusOf(error) === undefined) throw error
    }
  }
  return false
}
