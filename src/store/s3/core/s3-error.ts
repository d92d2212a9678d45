import { networkTrouble, statusTrouble, type Trouble, type TroubleKind } from '../../core/trouble.ts'

/** What the SDK tells of a request that failed, as plain data. */
export interface S3ErrorFacts {
  /** `NoSuchBucket`, `ECONNREFUSED`, `TimeoutError`: the S3 code, else that of Node.js, else the error's name. */
  readonly code: string
  readonly message: string
  /** Undefined when there was no answer. */
  readonly status: number | undefined
  readonly waitMs: number | undefined
  /** The SDK has learned the server's time from the answer, so that the next request carries the right one. */
  readonly clockCorrected: boolean
  /** The region that the answer names, where it names one. */
  readonly region: string | undefined
}

const byCode: Readonly<Record<string, readonly [TroubleKind, 'passing' | 'lasting']>> = {
  NoSuchKey: ['missing', 'lasting'],
  NotFound: ['missing', 'lasting'],
  NoSuchVersion: ['missing', 'lasting'],
  NoSuchBucket: ['place-missing', 'lasting'],
  AccessDenied: ['denied', 'lasting'],
  AllAccessDisabled: ['denied', 'lasting'],
  AccountProblem: ['denied', 'lasting'],
  InvalidAccessKeyId: ['credentials-refused', 'lasting'],
  SignatureDoesNotMatch: ['credentials-refused', 'lasting'],
  ExpiredToken: ['credentials-refused', 'lasting'],
  TokenRefreshRequired: ['credentials-refused', 'lasting'],
  InvalidToken: ['credentials-refused', 'lasting'],
  InvalidSecurity: ['credentials-refused', 'lasting'],
  UserSuspended: ['credentials-refused', 'lasting'],
  CredentialsProviderError: ['credentials-absent', 'lasting'],
  ConditionalRequestConflict: ['overloaded', 'passing'],
  OperationAborted: ['overloaded', 'passing'],
  SlowDown: ['overloaded', 'passing'],
  ServiceUnavailable: ['overloaded', 'passing'],
  RequestLimitExceeded: ['overloaded', 'passing'],
  TooManyRequests: ['overloaded', 'passing'],
  RequestTimeout: ['unreachable', 'passing'],
  IncompleteBody: ['unreachable', 'passing'],
  BadDigest: ['unreachable', 'passing'],
  XAmzContentSHA256Mismatch: ['unreachable', 'passing'],
  XAmzContentChecksumMismatch: ['unreachable', 'passing'],
  InternalError: ['unreachable', 'passing'],
  QuotaExceeded: ['full', 'lasting'],
  InsufficientCapacity: ['full', 'lasting'],
  XMinioStorageFull: ['full', 'lasting'],
  InvalidRetentionDate: ['lock-unsupported', 'lasting'],
  ObjectLockConfigurationNotFoundError: ['lock-unsupported', 'lasting'],
  InvalidBucketState: ['lock-unsupported', 'lasting'],
  PermanentRedirect: ['protocol', 'lasting'],
  AuthorizationHeaderMalformed: ['protocol', 'lasting'],
  NotImplemented: ['protocol', 'lasting'],
}

const clockCodes = new Set(['RequestTimeTooSkewed', 'RequestInTheFuture', 'RequestExpired', 'InvalidSignatureTime'])

/** Judges a failed request. What is not known by its code is judged by its status. */
export function judgeS3Error(facts: S3ErrorFacts): Trouble {
  const { code, message, status, waitMs } = facts
  const reason =
    status === undefined ? message : `it answered ${code}${message === '' || message === code ? '' : ` (${message})`}`
  if (clockCodes.has(code)) {
    return { kind: 'clock', reason, passing: facts.clockCorrected, uncertain: false, waitMs: 0 }
  }
  const known = byCode[code]
  if (known !== undefined) {
    const [kind, lasts] = known
    const region = facts.region === undefined ? '' : `; its region is ${facts.region}`
    const uncertain = lasts === 'passing'
    return { kind, reason: `${reason}${kind === 'protocol' ? region : ''}`, passing: uncertain, uncertain, waitMs }
  }
  // What is not there has a code of its own; this is a page of some other server.
  if (status === 404) return { kind: 'protocol', reason, passing: false, uncertain: false }
  if (status !== undefined && status >= 300) return statusTrouble(status, `${status} ${code}`, waitMs)
  const network = networkTrouble(code, message)
  if (network !== undefined) return network
  if (code === 'TimeoutError') {
    return { kind: 'unreachable', reason: 'it does not answer in time', passing: true, uncertain: true }
  }
  // An answer that is not what S3 answers: another kind of server, or a proxy with a page of its own.
  if (status !== undefined) {
    return { kind: 'protocol', reason: `its answer is not that of S3 (${message})`, passing: false, uncertain: true }
  }
  return { kind: 'failed', reason: `${code}: ${message}`, passing: false, uncertain: true }
}
