import { Fault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { coordinatorFaults } from '../faults.ts'

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const codes = { perm: 3, busy: 5, locked: 6, readOnly: 8, ioError: 10, corrupt: 11, full: 13, cannotOpen: 14 } as const
const protocolCode = 15
const notDatabaseCode = 26

/** The primary result code of an error thrown by `node:sqlite`, undefined for any other error. */
function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}

/** True when another process was in the way and trying again soon makes sense. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error)
  return code === codes.busy || code === codes.locked || code === protocolCode
}

/** Turns an error of SQLite into the fault an operator can act on; other errors come back as they are. */
export function sqliteFault(error: unknown, file: string): unknown {
  const code = sqliteCode(error)
  if (code === undefined || !(error instanceof Error)) return error
  const options = { details: { file }, cause: error }
  switch (code) {
    case codes.corrupt:
    case notDatabaseCode:
      return new Fault(
        coordinatorFaults['coordinator-file-corrupt'],
        `Cannot read the coordinator's file ${file}: ${error.message}`,
        options,
      )
    case codes.full:
      return new Fault(
        stdFaults['disk-full'],
        `Cannot write the coordinator's file ${file}: no room on its file system`,
        options,
      )
    case codes.perm:
    case codes.readOnly:
    case codes.cannotOpen:
      return new Fault(
        coordinatorFaults['coordinator-file-unusable'],
        `Cannot use the coordinator's file ${file}: ${error.message}`,
        options,
      )
    case codes.busy:
    case codes.locked:
    case codes.ioError:
    case protocolCode:
      return new Fault(
        coordinatorFaults['coordinator-unreachable'],
        `Cannot reach the coordinator's file ${file}: ${error.message}`,
        options,
      )
    default:
      return error
  }
}
