import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { quoteConfValue, quoteConninfoValue } from './quoting.ts'

/** Where a standby receives its WAL from. The password is in `passFile`, never in the configuration. */
export interface Upstream {
  readonly host: string
  readonly port: number
  readonly user: string
  /** A libpq password file, mode 0600. */
  readonly passFile: string
  /** The standby's physical slot on the upstream; without one the upstream may drop WAL that is still needed. */
  readonly slot?: string | undefined
  /** The standby's name as `synchronous_standby_names` knows it. */
  readonly applicationName: string
  readonly tls?: { readonly mode: 'require' | 'verify-full'; readonly authorityFile?: string | undefined } | undefined
}

export type RecoveryTarget =
  | { readonly kind: 'latest' }
  | { readonly kind: 'immediate' }
  /** A point in time as PostgreSQL reads it, with its time zone: `2026-11-22 13:41:05.123456+00`. */
  | { readonly kind: 'time'; readonly time: string; readonly inclusive: boolean }
  | { readonly kind: 'lsn'; readonly lsn: Lsn; readonly inclusive: boolean }
  | { readonly kind: 'transaction'; readonly transaction: string; readonly inclusive: boolean }
  | { readonly kind: 'name'; readonly name: string }

export interface RecoverySettings {
  readonly restoreCommand: string
  readonly target: RecoveryTarget
  readonly timeline: TimelineId | 'latest' | 'current'
  readonly action: 'pause' | 'promote' | 'shutdown'
}

/** Everything Holdfast decides about one server's configuration. */
export interface ServerSettings {
  readonly port: number
  /** Addresses to listen on besides the unix socket; empty means none. */
  readonly listenAddresses: readonly string[]
  readonly socketDirectory: string
  /** The node's name; appears in process titles. */
  readonly clusterName: string
  /** Data-bearing nodes of the cluster; senders and slots are sized from it. */
  readonly memberCount: number
  /** Limit for the WAL that slots keep, as `4GB`; a dead standby must not fill the disk. */
  readonly maxSlotWalKeepSize?: string | undefined
  readonly synchronousStandbyNames?: string | undefined
  readonly upstream?: Upstream | undefined
  readonly recovery?: RecoverySettings | undefined
  readonly tls?:
    | { readonly certificateFile: string; readonly keyFile: string; readonly authorityFile?: string | undefined }
    | undefined
  /** Whether the postmaster itself recovers after a crashed backend. Off where a fencer decides about restarts. */
  readonly restartAfterCrash: boolean
  /** The user's own parameters. */
  readonly parameters?: Readonly<Record<string, ParameterValue>> | undefined
}

export type ParameterValue = string | number | boolean

/** What Holdfast prefers to PostgreSQL's own defaults, where the user has not chosen otherwise. */
const defaults: Readonly<Record<string, ParameterValue>> = {
  wal_sender_timeout: '10s',
  wal_receiver_timeout: '10s',
}

/** Parameters that decide about durability, identity, files or the parent process: only Holdfast may set them. */
const ownedWithoutRendering = [
  'allow_in_place_tablespaces',
  'config_file',
  'data_directory',
  'data_sync_retry',
  'external_pid_file',
  'hba_file',
  'ident_file',
  'ignore_checksum_failure',
  'ignore_invalid_pages',
  'include',
  'include_dir',
  'include_if_exists',
  'primary_conninfo',
  'primary_slot_name',
  'promote_trigger_file',
  'recovery_end_command',
  'restore_command',
  'ssl',
  'ssl_ca_file',
  'ssl_cert_file',
  'ssl_key_file',
  'wal_segment_size',
  'zero_damaged_pages',
]

/** User parameters that Holdfast owns or that cannot be written, with the reason; empty when all are fine. */
export function refusedParameters(
  settings: ServerSettings,
): readonly { readonly name: string; readonly reason: string }[] {
  const owned = new Set([...ownedWithoutRendering, ...Object.keys(ownedParameters({ ...settings, parameters: {} }))])
  return Object.entries(settings.parameters ?? {}).flatMap(([name, value]) => {
    const canonical = name.toLowerCase()
    if (!/^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?$/.test(canonical)) {
      return [{ name, reason: 'is no parameter name' }]
    }
    if (owned.has(canonical) || canonical.startsWith('recovery_target')) {
      return [{ name, reason: 'is set by Holdfast' }]
    }
    if (typeof value === 'string' && value.includes('\0')) return [{ name, reason: 'has a NUL character in its value' }]
    return []
  })
}

/** The content of `holdfast.conf`. The user's parameters come first, so that they never win over Holdfast's. */
export function renderServerSettings(settings: ServerSettings): string {
  const lines = ['# Written by Holdfast; changes are overwritten. Set parameters in holdfast.yaml.']
  const chosen = Object.fromEntries(
    Object.entries(settings.parameters ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  )
  for (const [name, value] of Object.entries({ ...defaults, ...chosen })) lines.push(renderParameter(name, value))
  for (const [name, value] of Object.entries(ownedParameters(settings))) lines.push(renderParameter(name, value))
  return `${lines.join('\n')}\n`
}

/** The `primary_conninfo` of a standby: no password, only the file that has it. */
export function renderConninfo(upstream: Upstream): string {
  const parts: Record<string, string> = {
    host: upstream.host,
    port: String(upstream.port),
    user: upstream.user,
    passfile: upstream.passFile,
    application_name: upstream.applicationName,
    connect_timeout: '3',
    keepalives_idle: '5',
    keepalives_interval: '2',
    keepalives_count: '3',
    sslmode: upstream.tls?.mode ?? 'prefer',
    ...(upstream.tls?.authorityFile === undefined ? {} : { sslrootcert: upstream.tls.authorityFile }),
  }
  return Object.entries(parts)
    .map(([key, value]) => `${key}=${quoteConninfoValue(value)}`)
    .join(' ')
}

function renderParameter(name: string, value: ParameterValue): string {
  const text = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
  return `${name} = ${quoteConfValue(text)}`
}

function ownedParameters(settings: ServerSettings): Readonly<Record<string, ParameterValue>> {
  // Each member needs a sender for its standby, one for a clone and one for an archiver; a few more for tools. A standby
  // may not have fewer than its primary, so the number changes only for clusters of more than five.
  const connections = Math.max(20, settings.memberCount * 3 + 4)
  return {
    port: settings.port,
    listen_addresses: settings.listenAddresses.join(','),
    unix_socket_directories: quoteListEntry(settings.socketDirectory),
    unix_socket_permissions: '0700',
    cluster_name: settings.clusterName,
    fsync: true,
    full_page_writes: true,
    synchronous_commit: 'on',
    synchronous_standby_names: settings.synchronousStandbyNames ?? '',
    wal_level: 'replica',
    wal_log_hints: true,
    wal_keep_size: '512MB',
    max_wal_senders: connections,
    max_replication_slots: connections,
    max_slot_wal_keep_size: settings.maxSlotWalKeepSize ?? '-1',
    wal_receiver_status_interval: '1s',
    wal_retrieve_retry_interval: '100ms',
    hot_standby: true,
    hot_standby_feedback: true,
    restart_after_crash: settings.restartAfterCrash,
    password_encryption: 'scram-sha-256',
    ...tlsParameters(settings),
    ...upstreamParameters(settings.upstream),
    ...recoveryParameters(settings.recovery),
  }
}

function tlsParameters(settings: ServerSettings): Readonly<Record<string, ParameterValue>> {
  if (settings.tls === undefined) return { ssl: false }
  return {
    ssl: true,
    ssl_cert_file: settings.tls.certificateFile,
    ssl_key_file: settings.tls.keyFile,
    ...(settings.tls.authorityFile === undefined ? {} : { ssl_ca_file: settings.tls.authorityFile }),
  }
}

function upstreamParameters(upstream: Upstream | undefined): Readonly<Record<string, ParameterValue>> {
  if (upstream === undefined) return { primary_conninfo: '', primary_slot_name: '' }
  return { primary_conninfo: renderConninfo(upstream), primary_slot_name: upstream.slot ?? '' }
}

function recoveryParameters(recovery: RecoverySettings | undefined): Readonly<Record<string, ParameterValue>> {
  if (recovery === undefined) return { recovery_target_timeline: 'latest' }
  return {
    restore_command: recovery.restoreCommand,
    recovery_target_timeline: String(recovery.timeline),
    recovery_target_action: recovery.action,
    ...targetParameters(recovery.target),
  }
}

function targetParameters(target: RecoveryTarget): Readonly<Record<string, ParameterValue>> {
  switch (target.kind) {
    case 'latest':
      return {}
    case 'immediate':
      return { recovery_target: 'immediate' }
    case 'time':
      return { recovery_target_time: target.time, recovery_target_inclusive: target.inclusive }
    case 'lsn':
      return { recovery_target_lsn: formatLsn(target.lsn), recovery_target_inclusive: target.inclusive }
    case 'transaction':
      return { recovery_target_xid: target.transaction, recovery_target_inclusive: target.inclusive }
    case 'name':
      return { recovery_target_name: target.name }
    default:
      return target satisfies never
  }
}

/** `unix_socket_directories` is itself a list; a directory with a comma or a blank has to be quoted within it. */
function quoteListEntry(entry: string): string {
  return /^[\w/.-]+$/.test(entry) ? entry : `"${entry.replaceAll('"', '""')}"`
}
