import { defineFaults } from '../../std/fault.ts'

export const replicationFaults = defineFaults({
  'postgres-wal-removed': {
    exitClass: 'failed',
    meaning: 'The server no longer has WAL from the position that was asked for.',
    hint: 'Fetch the missing range from the repository or another node; if it is nowhere, clone again and take a new backup.',
  },
  'postgres-timeline-history-missing': {
    exitClass: 'notFound',
    meaning: 'The server has no history file for a timeline.',
    hint: 'Ask the server that promoted to this timeline, or the repository.',
  },
  'postgres-slot-exists': {
    exitClass: 'refused',
    meaning: 'A replication slot of this name is already there.',
    hint: 'Use it, choose another name, or drop it: `SELECT pg_drop_replication_slot(name)`.',
  },
  'postgres-slot-missing': {
    exitClass: 'notFound',
    meaning: 'The server has no replication slot of this name.',
    hint: 'Create it; after a failover the slots of the old primary do not exist on the new one.',
  },
  'postgres-slot-busy': {
    exitClass: 'busy',
    meaning: 'Another connection is using the replication slot.',
    hint: 'Look for it: `SELECT slot_name, active_pid FROM pg_replication_slots`.',
  },
  'postgres-slot-too-new': {
    exitClass: 'failed',
    meaning: 'A replication slot does not keep the WAL that a clone will need first.',
    hint: 'Drop the slot and clone again; the clone then makes it before it starts.',
  },
  'postgres-password-exposed': {
    exitClass: 'refused',
    meaning: 'A server asked for the password itself, or for its MD5 hash, where only SCRAM is safe.',
    hint: 'Set password_encryption to scram-sha-256, set the password again, and use scram-sha-256 in pg_hba.conf.',
  },
  'postgres-replication-failed': {
    exitClass: 'failed',
    meaning: 'A server answered a replication command with an error.',
    hint: "The SQLSTATE is in the details; the server's log tells more.",
  },
  'postgres-protocol-violated': {
    exitClass: 'failed',
    meaning: 'What came from a server does not follow the replication protocol.',
    hint: 'Check that the address belongs to PostgreSQL 15 to 18 itself and not to a connection pooler.',
  },
  'postgres-client-changed': {
    exitClass: 'bug',
    meaning: 'The driver `pg` does not look inside as Holdfast expects, so its socket cannot be taken over.',
    hint: 'Install the dependencies exactly as locked: `npm ci`.',
  },
  'postgres-base-backup-damaged': {
    exitClass: 'integrity',
    meaning: 'The server found pages with wrong checksums while it sent a base backup.',
    hint: 'The files and blocks are in the details; clone from another server or restore from a backup.',
  },
})
