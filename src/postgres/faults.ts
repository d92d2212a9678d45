import { defineFaults } from '../std/fault.ts'

export const postgresFaults = defineFaults({
  'postgres-not-found': {
    exitClass: 'notFound',
    meaning: 'No PostgreSQL of a supported major release was found on this machine.',
    hint: 'Install PostgreSQL 15 to 18 (Debian: `apt install postgresql`), or give its binary directory in the configuration.',
  },
  'postgres-embedded-unusable': {
    exitClass: 'refused',
    meaning: 'The embedded PostgreSQL of npm does not run on this platform.',
    hint: 'Install PostgreSQL 15 to 18 from the system packages; Holdfast finds it by itself.',
  },
  'postgres-directory-unusable': {
    exitClass: 'refused',
    meaning:
      'A directory that should become a data directory is not empty, cannot be written, or belongs to someone else.',
    hint: 'Give an empty directory that the user who runs Holdfast may write, or remove the old one yourself.',
  },
  'postgres-no-data-directory': {
    exitClass: 'notFound',
    meaning: 'A directory holds no PostgreSQL data.',
    hint: 'Check the data directory in the configuration.',
  },
  'postgres-wrong-major': {
    exitClass: 'refused',
    meaning: 'A data directory belongs to another major release than the server that should open it.',
    hint: 'Use the binaries of the release that wrote the directory, or upgrade it with pg_upgrade.',
  },
  'postgres-foreign-system': {
    exitClass: 'refused',
    meaning: 'A data directory carries the system identifier of another cluster.',
    hint: 'Check the data directory in the configuration; Holdfast never overwrites the data of another cluster.',
  },
  'postgres-control-file-corrupt': {
    exitClass: 'integrity',
    meaning: '`global/pg_control` has a wrong size, version or checksum.',
    hint: 'Do not start this directory; restore it from a backup or clone it again.',
  },
  'postgres-setting-refused': {
    exitClass: 'usage',
    meaning:
      'A PostgreSQL parameter that Holdfast sets itself was given in the configuration, or a value cannot be written.',
    hint: 'Remove the parameter from the configuration; the reference lists the ones that Holdfast owns.',
  },
  'postgres-port-in-use': {
    exitClass: 'busy',
    meaning: 'Another program already listens on the port that a server should use.',
    hint: 'Stop that program or choose another port; `ss -ltnp` shows who listens.',
  },
  'postgres-already-running': {
    exitClass: 'busy',
    meaning: 'A server already runs on this data directory.',
    hint: 'Stop it first; the process id is in the message.',
  },
  'postgres-start-failed': {
    exitClass: 'failed',
    meaning: 'A server ended, or did not become ready, while it was starting.',
    hint: 'The last lines of its log are in the message.',
  },
  'postgres-orphans-remain': {
    exitClass: 'busy',
    meaning: 'Processes of a server that was killed still hold its shared memory.',
    hint: 'End the old server processes of this data directory; `ps -ef | grep postgres` shows them.',
  },
  'postgres-stop-failed': {
    exitClass: 'failed',
    meaning: 'A server did not stop in the time it was given.',
    hint: 'Look for clients or an archiver that hold it; stop it again with a harder mode.',
  },
  'postgres-not-running': {
    exitClass: 'notFound',
    meaning: 'No server runs on a data directory where one was expected.',
    hint: 'Start it first; its log says why it ended.',
  },
  'postgres-rewind-failed': {
    exitClass: 'failed',
    meaning: '`pg_rewind` is missing or could not bring a former primary back onto the line of the new one.',
    hint: 'Do not start the directory; rewind it again or clone it from the primary.',
  },
  'postgres-unreachable': {
    exitClass: 'unreachable',
    meaning: 'A server could not be reached, or did not accept the connection yet.',
    hint: 'Check that the server runs, listens on this address, and that nothing between blocks the port.',
  },
  'postgres-authentication-failed': {
    exitClass: 'usage',
    meaning: 'A server refused the user or the password, or has no pg_hba line for us.',
    hint: 'Check the password file and the pg_hba lines for this role and address.',
  },
  'postgres-tls-failed': {
    exitClass: 'refused',
    meaning: 'A server has no TLS, or a certificate that is not valid for its address or not from the given authority.',
    hint: 'Check the certificate of the server, its names and addresses, and the authority in the configuration.',
  },
  'postgres-connection-lost': {
    exitClass: 'unreachable',
    meaning: 'A connection to a server ended while it was in use.',
    hint: 'The server stopped, failed over, or the network cut the connection; try again.',
  },
  'postgres-query-failed': {
    exitClass: 'failed',
    meaning: 'A server answered a statement with an error.',
    hint: 'The SQLSTATE is in the details.',
  },
})
