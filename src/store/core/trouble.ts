/** What can go wrong with a store that is reached over a network, whatever its protocol. */
export type TroubleKind =
  | 'missing'
  | 'place-missing'
  | 'unreachable'
  | 'overloaded'
  | 'denied'
  | 'credentials-refused'
  | 'credentials-absent'
  | 'certificate'
  | 'protocol'
  | 'clock'
  | 'full'
  | 'lock-unsupported'
  | 'unconditional'
  | 'failed'

/** One failed request, judged. */
export interface Trouble {
  readonly kind: TroubleKind
  /** Continues "Cannot …: ". */
  readonly reason: string
  /** Whether the same request may succeed in a moment. */
  readonly passing: boolean
  /** How long the server asked us to wait. */
  readonly waitMs?: number | undefined
  /** The request may have been carried out although it failed. */
  readonly uncertain: boolean
}

const certificateErrors = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const unsentErrors = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN'])

const brokenErrors = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
  'ESOCKETTIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
])

/** Judges an error of Node.js' network modules by its code; undefined when it is none of them. */
export function networkTrouble(code: string, message: string): Trouble | undefined {
  if (certificateErrors.has(code)) {
    return { kind: 'certificate', reason: `its certificate is not trusted (${code})`, passing: false, uncertain: false }
  }
  if (unsentErrors.has(code)) {
    return { kind: 'unreachable', reason: unsentReason(code), passing: true, uncertain: false }
  }
  if (brokenErrors.has(code)) {
    const reason = code === 'ETIMEDOUT' ? 'it does not answer in time' : `the connection broke (${code})`
    return { kind: 'unreachable', reason, passing: true, uncertain: true }
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('HPE_') || code.startsWith('ERR_TLS_')) {
    return {
      kind: 'protocol',
      reason: `what answers does not speak this protocol (${code}: ${message})`,
      passing: false,
      uncertain: false,
    }
  }
  return undefined
}

function unsentReason(code: string): string {
  if (code === 'ECONNREFUSED') return 'nobody listens there (ECONNREFUSED)'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `its name has no address (${code})`
  return `no way leads there (${code})`
}

/** What an HTTP status says where the protocol says nothing more exact. */
export function statusTrouble(status: number, said: string, waitMs: number | undefined): Trouble {
  const reason = `it answered ${said}`
  const base = { reason, waitMs, passing: false, uncertain: false }
  if (status === 401) return { ...base, kind: 'credentials-refused' }
  if (status === 403) return { ...base, kind: 'denied' }
  if (status === 404) return { ...base, kind: 'missing' }
  if (status === 408) return { ...base, kind: 'unreachable', passing: true, uncertain: true }
  if ([423, 424, 425, 429, 503].includes(status)) return { ...base, kind: 'overloaded', passing: true, uncertain: true }
  if (status === 501) return { ...base, kind: 'protocol' }
  if (status === 507) return { ...base, kind: 'full' }
  if (status >= 500) return { ...base, kind: 'unreachable', passing: true, uncertain: true }
  return { ...base, kind: 'protocol' }
}

/** Reads a `Retry-After` header, in seconds or as a date; undefined when it says nothing useful. */
export function readRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
