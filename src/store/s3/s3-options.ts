import type { Clock } from '../../std/clock.ts'
import type { Secret } from '../../std/secret.ts'
import type { S3KeyText } from './core/credentials-file.ts'

/** Where an S3 store is and how it is spoken to. */
export interface S3StoreOptions {
  readonly bucket: string
  /** Before every key, with a slash in between; empty for the bucket itself. */
  readonly prefix?: string | undefined
  /** Without it that of the environment or the shared files of AWS; with an `endpoint`, `us-east-1`. */
  readonly region?: string | undefined
  /** `https://s3.example.org:8443` for anything but Amazon's own. */
  readonly endpoint?: string | undefined
  /** The bucket in the path instead of the host name; always so when the endpoint is an address. */
  readonly pathStyle?: boolean | undefined
  /** Certificates (PEM) of the authorities to trust instead of the system's. */
  readonly certificateAuthority?: string | undefined
  /** Read at the beginning and again when they are refused; without it the chain of the AWS tools is used. */
  readonly credentials?: (() => Promise<Secret<S3KeyText>>) | undefined
  /** Protects every object that is created for so long; the bucket must have been made with object lock. */
  readonly lock?: ObjectLock | undefined
  /**
   * `required`: a server without conditional create is refused. `emulated`: there, an object is created when a look
   * finds none, which is safe as long as no two processes create the same key with different content.
   */
  readonly conditionalCreate?: 'required' | 'emulated' | undefined
  /** How long passing trouble is waited out before an operation fails. */
  readonly patienceMs?: number | undefined
  /** How long a connection may be silent before it counts as broken. */
  readonly idleTimeoutMs?: number | undefined
  readonly clock: Clock
  /** Ends the opening of the store; operations have signals of their own. */
  readonly signal?: AbortSignal | undefined
}

export interface ObjectLock {
  readonly mode: 'governance' | 'compliance'
  readonly days: number
}
