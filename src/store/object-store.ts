/**
 * Where repository objects live. Objects are written once and never changed; one contract suite
 * (`test/contract/object-store.ts`) holds for every adapter. Keys are relative paths of `[A-Za-z0-9._-]` parts joined
 * by `/`.
 */
export interface ObjectStore extends AsyncDisposable {
  /** For messages: `file system /srv/backup`. Never holds a secret. */
  readonly description: string

  /**
   * Creates an object, durable when this resolves. `exists` when the key is taken: nothing was written, and the caller
   * must look whether the content is its own. A crash leaves no object, or the whole object, never a part under its key.
   */
  create(key: string, body: Uint8Array, options?: StoreOptions): Promise<'created' | 'exists'>

  /** The whole object. Throws `store-object-missing` when it does not exist. */
  read(key: string, options?: StoreOptions): Promise<Uint8Array>

  /** `length` bytes from `offset`; fewer only where the object ends. Throws `store-object-missing`. */
  readRange(key: string, offset: number, length: number, options?: StoreOptions): Promise<Uint8Array>

  /** Size of an object, or undefined when it does not exist. */
  size(key: string, options?: StoreOptions): Promise<number | undefined>

  /** Every object whose key begins with `prefix`, in ascending byte order of keys. */
  list(prefix: string, options?: StoreOptions): AsyncIterable<StoredObject>

  /** Removes an object; not an error when it is already gone. */
  delete(key: string, options?: StoreOptions): Promise<void>

  /**
   * Protects an object from being removed or replaced as long as one that is created now, also from whoever has our
   * credentials. Never shortens a lock. Only where the store locks what is created. Throws `store-object-missing`.
   */
  renewLock?(key: string, options?: StoreOptions): Promise<void>
}

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined
}

export interface StoredObject {
  readonly key: string
  readonly sizeBytes: number
}
