/**
 * Where the lease and the cluster's agreed state live. Modelled on etcd v3: every write has a revision, a write may
 * depend on revisions, a key may hang on a lease and disappears with it. One contract suite
 * (`test/contract/coordinator.ts`) holds for every adapter. Reads are linearizable.
 */
export interface Coordinator extends AsyncDisposable {
  /** For messages: `embedded coordinator /var/lib/holdfast/coordinator.db`. Never holds a secret. */
  readonly description: string

  /** Every entry below a prefix, ascending by key, and the revision at which they were read. */
  list(prefix: string, options?: CoordinatorOptions): Promise<Snapshot>

  /**
   * Writes all of `changes` at once if every condition holds and every lease named in them lives; no key may be named
   * twice. Retrying after an unknown outcome is the caller's task.
   */
  transact(transaction: Transaction, options?: CoordinatorOptions): Promise<TransactionResult>

  /** A new lease of at least `ttlMs`, counted from some moment between this call and its answer. */
  grantLease(ttlMs: number, options?: CoordinatorOptions): Promise<LeaseId>

  /** Starts the lease's time to live anew; false when the lease has expired (its keys are gone and stay gone). */
  keepAlive(lease: LeaseId, options?: CoordinatorOptions): Promise<boolean>

  /** Ends a lease now; its keys disappear at once. Not an error when it has already expired. */
  revokeLease(lease: LeaseId, options?: CoordinatorOptions): Promise<void>

  /**
   * Yields whenever something below the prefix may have changed (also by expiry), at least once after every change that
   * follows the call; several changes may come as one. The receiver lists again. Goes on through an outage of the
   * coordinator; ends when `signal` aborts.
   */
  watch(prefix: string, options: { readonly signal: AbortSignal }): AsyncIterable<void>
}

export type LeaseId = string & { readonly brand: 'LeaseId' }

export interface CoordinatorOptions {
  readonly signal?: AbortSignal | undefined
}

export interface Entry {
  readonly key: string
  readonly value: string
  /** Revision of the last write of this key; grows with every write anywhere in the coordinator. */
  readonly modRevision: number
  /** Revision at which the key came into being; a deleted and re-created key has a new one. */
  readonly createRevision: number
  readonly lease: LeaseId | undefined
}

export interface Snapshot {
  readonly revision: number
  readonly entries: readonly Entry[]
}

/** Holds when the key's last write has this revision; 0 means that the key must not exist. */
export interface Condition {
  readonly key: string
  readonly modRevision: number
}

export type Change =
  | { readonly put: string; readonly value: string; readonly lease?: LeaseId | undefined }
  | { readonly delete: string }

export interface Transaction {
  readonly conditions: readonly Condition[]
  readonly changes: readonly Change[]
}

export interface TransactionResult {
  readonly committed: boolean
  /** The coordinator's revision after the transaction (or at the time of its refusal). */
  readonly revision: number
}
