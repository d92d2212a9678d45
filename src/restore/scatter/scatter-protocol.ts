import type { Keyring } from '../../repository/keyring.ts'
import type { ObjectSeal } from '../../repository/pack-reader.ts'
import type { FaultDetails } from '../../std/fault.ts'
import type { PackJob } from '../core/pack-jobs.ts'

/** What a scattering thread is started with. */
export interface ScatterWorkerData {
  readonly keyring: Keyring
  readonly dataDirectory: string
  readonly pageBytes: number
}

/** One pack, fetched, with what is to be done with it. */
export interface ScatterOrder {
  readonly objectKey: string
  readonly bytes: Uint8Array
  readonly seal: ObjectSeal
  readonly job: PackJob
}

export type FromScatterWorker =
  | { readonly kind: 'done'; readonly writtenBytes: number }
  /** The pack is bad; none of it may be used. */
  | { readonly kind: 'fault'; readonly code: string; readonly message: string; readonly details: FaultDetails }
  /** A file could not be written. */
  | { readonly kind: 'failed'; readonly path: string; readonly code: string; readonly message: string }
