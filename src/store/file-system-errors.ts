import { Fault, type FaultDetails, type FaultKind } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { storeFaults } from './faults.ts'

/** The `code` of an operating system error (`ENOENT`), or undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** True when the error says that there is nothing under this path. */
export function isAbsent(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** Turns an error of the operating system into a fault; a fault, an abort or a bug passes through unchanged. */
export function fileSystemFault(action: string, path: string, error: unknown): unknown {
  const code = errorCode(error)
  if (error instanceof Fault || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error
  const details: FaultDetails = { path, errno: code }
  return new Fault(kindOf(code), `Cannot ${action}: ${explain(code)}`, { details, cause: error })
}

function kindOf(code: string): FaultKind {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return stdFaults['disk-full']
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return storeFaults['store-access-denied']
    default:
      return storeFaults['store-failed']
  }
}

function explain(code: string): string {
  switch (code) {
    case 'ENOSPC':
      return 'no space left on the file system (ENOSPC)'
    case 'EDQUOT':
      return 'the disk quota is used up (EDQUOT)'
    case 'EACCES':
    case 'EPERM':
      return `permission denied (${code})`
    case 'EROFS':
      return 'the file system is mounted read-only (EROFS)'
    default:
      return `the file system reported ${code}`
  }
}
