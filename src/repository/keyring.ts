import type { KeyObject } from 'node:crypto'

/** A data key: what the contents of the repository are encrypted with. */
export interface DataKey {
  /** 32 hexadecimal digits, in the header of every object sealed with the key. */
  readonly id: string
  readonly key: KeyObject
}

/** The opened keys of one repository. Plain data, so that worker threads can be given it with a message. */
export interface Keyring {
  readonly repositoryId: string
  /** What new objects are sealed with. */
  readonly current: DataKey
  readonly keys: readonly DataKey[]
}
