/**
 * Settings under which a restored copy reaches nobody and nobody reaches it but over its own socket (law L9): it does not
 * archive, stream, listen, subscribe or run jobs. They stay in force, after promotion too, until a person adopts it.
 */
export function isolationSettings(major: number): Readonly<Record<string, string>> {
  return {
    archive_mode: 'off',
    archive_command: '',
    archive_library: '',
    primary_conninfo: '',
    primary_slot_name: '',
    synchronous_standby_names: '',
    listen_addresses: '',
    ssl: 'off',
    max_logical_replication_workers: '0',
    external_pid_file: '',
    archive_cleanup_command: '',
    recovery_end_command: '',
    'cron.launch_active_jobs': 'off',
    ...(major >= 17 ? { event_triggers: 'off', sync_replication_slots: 'off' } : {}),
  }
}

/** What pg_control says of the server that wrote the WAL: recovery with readers needs at least as much. */
export interface NeededParameters {
  readonly maxConnections: number
  readonly maxWorkerProcesses: number
  readonly maxWalSenders: number
  readonly maxPreparedTransactions: number
  readonly maxLocksPerTransaction: number
}

/** Settings of the machine that restores rather than of the cluster: where it listens and logs, and what fits on it. */
export function sandboxSettings(
  needed: NeededParameters,
  place: { readonly socketDirectory: string; readonly port: number },
): Readonly<Record<string, string>> {
  return {
    port: String(place.port),
    unix_socket_directories: place.socketDirectory,
    unix_socket_permissions: '0700',
    logging_collector: 'off',
    log_destination: 'stderr',
    log_min_messages: 'warning',
    lc_messages: 'C',
    huge_pages: 'try',
    // Libraries may run jobs that reach out, and may not be on this machine.
    shared_preload_libraries: '',
    session_preload_libraries: '',
    local_preload_libraries: '',
    max_connections: String(needed.maxConnections),
    max_worker_processes: String(needed.maxWorkerProcesses),
    max_wal_senders: String(needed.maxWalSenders),
    max_prepared_transactions: String(needed.maxPreparedTransactions),
    max_locks_per_transaction: String(needed.maxLocksPerTransaction),
  }
}
