import { isIPv6 } from 'node:net'
import type { Secret } from '../std/secret.ts'

/** How a connection is encrypted. Without it a connection is plain, which is for unix sockets and loopback. */
export interface TlsOptions {
  /** `require` encrypts without looking at the certificate; `verify-full` also checks its chain and host name. */
  readonly mode: 'require' | 'verify-full'
  /** The authority's certificates in PEM; without it the system's are used. */
  readonly authority?: string | undefined
}

/** Where a server listens and who we are there. */
export interface ConnectionTarget {
  /** A host name or address, or the directory of the unix socket (begins with `/`). */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: Secret
  readonly database: string
  readonly tls?: TlsOptions | undefined
  readonly applicationName?: string | undefined
}

/** Names a target in messages: no user, no password. */
export function describeTarget(target: { readonly host: string; readonly port: number }): string {
  if (target.host.startsWith('/')) return `${target.host}/.s.PGSQL.${target.port}`
  return isIPv6(target.host) ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`
}
