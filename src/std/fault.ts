/**
 * The one error class of Holdfast. A fault says what could not be done and why (`message`, starting with "Cannot"),
 * what to do next (`hint`), and how the process should exit. Each subject declares its faults in its own `faults.ts`
 * with {@link defineFaults}; the reference page is generated from these tables.
 */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  degraded: 3,
  notFound: 4,
  refused: 5,
  busy: 6,
  unreachable: 7,
  integrity: 8,
  bug: 70,
  // PostgreSQL takes up to 125 from restore_command for the end of the WAL, and stops recovery above.
  stopsRecovery: 200,
  interrupted: 130,
} as const

export type ExitClass = keyof typeof exitCodes

export interface FaultKind {
  /** Stable, kebab-case, begins with its subject: `postgres-port-in-use`. */
  readonly code: string
  readonly exitClass: Exclude<ExitClass, 'ok'>
  /** One sentence for the reference: when this fault appears. */
  readonly meaning: string
  /** What the operator should do next; a throw site may give a more exact one. */
  readonly hint: string
}

export type FaultDetails = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

/** Turns a table of faults, keyed by code, into fault kinds that know their code. */
export function defineFaults<const Table extends Readonly<Record<string, Omit<FaultKind, 'code'>>>>(
  table: Table,
): { readonly [Code in keyof Table]: FaultKind } {
  return Object.fromEntries(Object.entries(table).map(([code, kind]) => [code, { code, ...kind }])) as {
    [Code in keyof Table]: FaultKind
  }
}

export class Fault extends Error {
  readonly kind: FaultKind
  readonly hint: string
  readonly details: FaultDetails

  constructor(
    kind: FaultKind,
    message: string,
    options: { readonly hint?: string; readonly details?: FaultDetails; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.kind = kind
    this.hint = options.hint ?? kind.hint
    this.details = options.details ?? {}
  }

  get code(): string {
    return this.kind.code
  }

  get exitCode(): number {
    return exitCodes[this.kind.exitClass]
  }

  toJSON(): { code: string; exitClass: ExitClass; message: string; hint: string; details: FaultDetails } {
    return {
      code: this.code,
      exitClass: this.kind.exitClass,
      message: this.message,
      hint: this.hint,
      details: this.details,
    }
  }
}

/** True when `error` is a fault of this kind. */
export function isFault(error: unknown, kind?: FaultKind): error is Fault {
  return error instanceof Fault && (kind === undefined || error.code === kind.code)
}
