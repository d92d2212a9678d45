import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Fault } from '../../std/fault.ts'
import { coordinatorFaults } from '../faults.ts'

/**
 * An identifier that changes with every start of the machine and with nothing else. Leases are counted on the monotonic
 * clock, whose readings mean nothing in another boot. The time of boot computed from the wall clock would not do: it
 * moves when that clock is set, and a lease would end under a holder who still counts on it.
 */
export function readBootId(): string {
  try {
    const text =
      process.platform === 'darwin'
        ? execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8', env: {}, timeout: 2000 })
        : readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
    if (text.trim() !== '') return text.trim()
  } catch (error) {
    throw unknownBoot(error)
  }
  throw unknownBoot(undefined)
}

function unknownBoot(cause: unknown): Fault {
  return new Fault(coordinatorFaults['coordinator-boot-unknown'], 'Cannot tell the current boot: no boot identifier', {
    cause,
  })
}
