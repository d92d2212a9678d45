import { Fault, type FaultKind } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import type { Trouble, TroubleKind } from './core/trouble.ts'
import { storeFaults } from './faults.ts'

/** A request that failed, with the judgement that decides whether it is tried again. */
export class RequestFailure extends Error {
  readonly trouble: Trouble

  constructor(trouble: Trouble, cause: unknown) {
    super(trouble.reason, { cause })
    this.name = 'RequestFailure'
    this.trouble = trouble
  }
}

/** The fault that an operator meets when the trouble does not pass. */
export function requestFault(action: string, store: string, { trouble, cause }: RequestFailure): Fault {
  return new Fault(kindOf(trouble.kind), `Cannot ${action} in ${store}: ${trouble.reason}`, {
    details: { store },
    cause,
  })
}

function kindOf(kind: TroubleKind): FaultKind {
  return kind === 'full' ? stdFaults['disk-full'] : kinds[kind]
}

const kinds: Readonly<Record<Exclude<TroubleKind, 'full'>, FaultKind>> = {
  missing: storeFaults['store-object-missing'],
  'place-missing': storeFaults['store-root-missing'],
  unreachable: storeFaults['store-unreachable'],
  overloaded: storeFaults['store-overloaded'],
  denied: storeFaults['store-access-denied'],
  'credentials-refused': storeFaults['store-credentials-refused'],
  'credentials-absent': storeFaults['store-credentials-absent'],
  certificate: storeFaults['store-certificate-untrusted'],
  protocol: storeFaults['store-protocol-unexpected'],
  clock: storeFaults['store-clock-skewed'],
  'lock-unsupported': storeFaults['store-lock-unsupported'],
  unconditional: storeFaults['store-unconditional'],
  failed: storeFaults['store-failed'],
}
