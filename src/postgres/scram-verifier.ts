import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { Secret } from '../std/secret.ts'

const iterations = 4096

/**
 * What PostgreSQL stores instead of a password. Sending it rather than the password keeps the password out of the
 * server's log, whatever `log_statement` says. Source: RFC 5803 and scram_build_secret in scram-common.c.
 */
export async function scramVerifier(password: Secret, salt: Uint8Array = randomBytes(16)): Promise<string> {
  const salted = await promisify(pbkdf2)(prepare(password.reveal()), salt, iterations, 32, 'sha256')
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64')
  const serverKey = hmac(salted, 'Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** SASLprep (RFC 4013) for printable passwords: blanks become one kind, invisible marks go, compatible forms become one. */
function prepare(password: string): string {
  return password
    .replaceAll(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replaceAll(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g, '')
    .normalize('NFKC')
}
