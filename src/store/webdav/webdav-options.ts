import type { Clock } from '../../std/clock.ts'
import type { Secret } from '../../std/secret.ts'

/** Where a WebDAV store is and how it is spoken to. */
export interface WebDavStoreOptions {
  /** The folder of the store, which must exist: `https://cloud.example.org/remote.php/dav/files/alice/holdfast`. */
  readonly url: string
  readonly user?: string | undefined
  /** Read at the beginning and again when it is refused. */
  readonly password?: (() => Promise<Secret>) | undefined
  /** Certificates (PEM) of the authorities to trust instead of the system's. */
  readonly certificateAuthority?: string | undefined
  /**
   * `required`: a server on which two creators may both win is refused. `emulated`: there, an object is created when a look
   * finds none, which is safe as long as no two processes create the same key with different content.
   */
  readonly conditionalCreate?: 'required' | 'emulated' | undefined
  /** On Nextcloud, larger bodies are sent in pieces of this size, which its proxies let pass; 5 MB at least. */
  readonly chunkBytes?: number | undefined
  /** How long passing trouble is waited out before an operation fails. */
  readonly patienceMs?: number | undefined
  /** How long a connection may be silent before it counts as broken. */
  readonly idleTimeoutMs?: number | undefined
  readonly clock: Clock
  /** Ends the opening of the store; operations have signals of their own. */
  readonly signal?: AbortSignal | undefined
}
