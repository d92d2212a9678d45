import { quoteHbaToken } from './quoting.ts'

/** Who may connect. Every line asks for a SCRAM password; nobody is trusted for where he comes from. */
export interface HostBasedAuthentication {
  readonly superuser: string
  readonly replicationUser: string
  /** Host names or addresses of the cluster's members. */
  readonly memberAddresses: readonly string[]
  /** Clients besides the members. */
  readonly clients?: readonly ClientRule[] | undefined
  /** Whether members and clients have to encrypt what goes over the network. */
  readonly tlsRequired?: boolean | undefined
}

export interface ClientRule {
  /** A database name or `all`. */
  readonly database: string
  /** A role name or `all`. */
  readonly user: string
  /** A host name, an address, a network such as `10.0.0.0/8`, or `all`. */
  readonly address: string
}

/** The whole content of `pg_hba.conf`. */
export function renderHostBasedAuthentication(rules: HostBasedAuthentication): string {
  const host = rules.tlsRequired === true ? 'hostssl' : 'host'
  const superuser = quoteHbaToken(rules.superuser)
  const replication = quoteHbaToken(rules.replicationUser)
  const lines = ['# Written by Holdfast; changes are overwritten.', '# type database user address method']
  const add = (...fields: readonly string[]): void => void lines.push([...fields, 'scram-sha-256'].join(' '))
  add('local', 'all', 'all')
  add('local', 'replication', `${superuser},${replication}`)
  for (const member of new Set(rules.memberAddresses)) {
    const address = renderAddress(member)
    add(host, 'replication', `${superuser},${replication}`, address)
    add(host, 'all', superuser, address)
  }
  for (const client of rules.clients ?? []) {
    add(host, renderName(client.database), renderName(client.user), renderAddress(client.address))
  }
  return `${lines.join('\n')}\n`
}

function renderName(name: string): string {
  return name === 'all' ? 'all' : quoteHbaToken(name)
}

/** A single address becomes a network of one; names and networks stay as they are. */
function renderAddress(address: string): string {
  if (address === 'all') return 'all'
  if (/^\d+\.\d+\.\d+\.\d+$/.test(address)) return `${address}/32`
  if (/^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(address)) return `${address}/128`
  if (/^[0-9a-fA-F:.]+\/\d+$/.test(address)) return address
  return quoteHbaToken(address)
}
