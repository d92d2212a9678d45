import { Fault } from '../std/fault.ts'
import { storeFaults } from './faults.ts'

/** Long enough for every object we name, short enough for every store and for a key derivation's info. */
const maxKeyBytes = 512
const maxPartBytes = 200
const part = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

/** Whether a key may have this between two slashes. */
export function isKeyPart(name: string): boolean {
  return name.length <= maxPartBytes && part.test(name)
}

/**
 * Throws `store-key-invalid` unless the key is a relative path of `[A-Za-z0-9._-]` parts. A part may not begin with a
 * dot: that excludes `.` and `..`, and leaves stores room for files of their own.
 */
export function assertObjectKey(key: string): void {
  const valid = key.length <= maxKeyBytes && key.split('/').every(isKeyPart)
  if (valid) return
  throw new Fault(storeFaults['store-key-invalid'], `Cannot name an object ${JSON.stringify(key)}: not a valid key`, {
    details: { key },
  })
}
