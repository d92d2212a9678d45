import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeS3Error, type S3ErrorFacts } from './s3-error.ts'

const judge = (code: string, status?: number, over: Partial<S3ErrorFacts> = {}): string => {
  const facts = { code, message: code, status, waitMs: undefined, clockCorrected: false, region: undefined, ...over }
  const { kind, passing } = judgeS3Error(facts)
  return `${kind}${passing ? ', passing' : ''}`
}

test('every way an S3 request fails is one kind of trouble', () => {
  const table: readonly (readonly [string, number | undefined, string])[] = [
    ['NoSuchKey', 404, 'missing'],
    ['NoSuchBucket', 404, 'place-missing'],
    ['AccessDenied', 403, 'denied'],
    ['ExpiredToken', 400, 'credentials-refused'],
    ['InvalidAccessKeyId', 403, 'credentials-refused'],
    ['CredentialsProviderError', undefined, 'credentials-absent'],
    ['SlowDown', 503, 'overloaded, passing'],
    ['ConditionalRequestConflict', 409, 'overloaded, passing'],
    ['InternalError', 500, 'unreachable, passing'],
    ['RequestTimeTooSkewed', 403, 'clock'],
    ['QuotaExceeded', 403, 'full'],
    ['XMinioStorageFull', 507, 'full'],
    ['PermanentRedirect', 301, 'protocol'],
    ['Whatever', 507, 'full'],
    ['Whatever', 502, 'unreachable, passing'],
    ['Whatever', 404, 'protocol'],
    ['SyntaxError', 200, 'protocol'],
    ['ECONNREFUSED', undefined, 'unreachable, passing'],
    ['ECONNRESET', undefined, 'unreachable, passing'],
    ['TimeoutError', undefined, 'unreachable, passing'],
    ['SELF_SIGNED_CERT_IN_CHAIN', undefined, 'certificate'],
    ['EPROTO', undefined, 'protocol'],
    ['TypeError', undefined, 'failed'],
  ]
  for (const [code, status, expected] of table) assert.equal(judge(code, status), expected, code)
})

test('a skewed clock is tried again once the server has told its time, and a region that is named is passed on', () => {
  assert.equal(judge('RequestTimeTooSkewed', 403, { clockCorrected: true }), 'clock, passing')
  const facts = { code: 'PermanentRedirect', message: '', status: 301, waitMs: undefined, clockCorrected: false }
  assert.match(judgeS3Error({ ...facts, region: 'eu-central-1' }).reason, /its region is eu-central-1/)
})
