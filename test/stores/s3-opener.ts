import { readFile } from 'node:fs/promises'
import { systemClock } from '../../src/std/clock.ts'
import type { EpochMs } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'
import { openS3Store } from '../../src/store/s3/s3-store.ts'
import type { ObjectLock } from '../../src/store/s3/s3-options.ts'
import type { S3Keys } from '../support/servers/ceph.ts'

/** What a child process of the contract suite is told, as plain data. */
export interface PlainS3Options {
  readonly endpoint: string
  readonly bucket: string
  readonly prefix?: string
  readonly region?: string
  readonly keys: S3Keys
  readonly caFile?: string
  readonly lock?: ObjectLock
  readonly patienceMs?: number
  readonly conditionalCreate?: 'required' | 'emulated'
  /** How far the clock of this machine is off. */
  readonly clockOffMs?: number
}

export async function openS3FromPlainData(options: PlainS3Options): Promise<ObjectStore> {
  const { keys, caFile, clockOffMs = 0, ...plain } = options
  return await openS3Store({
    ...plain,
    certificateAuthority: caFile === undefined ? undefined : await readFile(caFile, 'utf8'),
    credentials: async () => new Secret(keys),
    clock: { ...systemClock, wall: () => (systemClock.wall() + clockOffMs) as EpochMs },
  })
}
