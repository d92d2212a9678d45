import { Fault, type FaultKind } from '../../std/fault.ts'
import { postgresFaults } from '../faults.ts'
import type { ServerReport } from './core/backend-message.ts'
import { replicationFaults } from './faults.ts'

/** SQLSTATEs that mean the same for every command; others are given by the command that knows their meaning. */
const commonKinds: Readonly<Record<string, FaultKind>> = {
  '42710': replicationFaults['postgres-slot-exists'],
  '42704': replicationFaults['postgres-slot-missing'],
  '55006': replicationFaults['postgres-slot-busy'],
  '57P01': postgresFaults['postgres-connection-lost'],
  '57P02': postgresFaults['postgres-connection-lost'],
  '57P03': postgresFaults['postgres-unreachable'],
}

/** The fault for an error of the server, with its SQLSTATE and everything it said to the operator. */
export function serverFault(
  doing: string,
  report: ServerReport,
  kinds: Readonly<Record<string, FaultKind>> = {},
): Fault {
  const sqlState = report['C'] ?? 'XX000'
  const kind = kinds[sqlState] ?? commonKinds[sqlState] ?? replicationFaults['postgres-replication-failed']
  return new Fault(kind, `Cannot ${doing}: ${report['M'] ?? 'the server gave no reason'} (SQLSTATE ${sqlState})`, {
    details: {
      sqlState,
      ...(report['D'] === undefined ? {} : { detail: report['D'] }),
      ...(report['H'] === undefined ? {} : { serverHint: report['H'] }),
    },
  })
}
