/** RESTORE.md, as it stands in every repository. */
export function restoreGuide(): string {
  return `# How to restore from this repository

This directory is a backup repository of PostgreSQL clusters, written by Holdfast. You do not need Holdfast to restore
from it: you need Node.js 22.15 or newer, PostgreSQL of the same major version as the backup, and the passphrase of the
repository, or the OpenPGP private key it was made for together with the program \`gpg\`.

1. Copy this whole directory to a disk of the machine that will run PostgreSQL (an object store: download everything).
2. See what there is:
   \`node restore.mjs --list\`
3. Restore the newest backup into an empty directory, as the user that will run PostgreSQL:
   \`node restore.mjs --backup latest --target /path/to/data --passphrase-file /path/to/passphrase\`
   Without \`--passphrase-file\` the passphrase is read from standard input. With \`--gpg\` the program \`gpg\` opens the
   data key; that is also the way with a private key. \`--cluster NAME\` chooses where there are several clusters.
   Tablespaces need a place each: \`--tablespace OID=DIRECTORY\`.
4. Do what it prints at its end: it names the directory with the write-ahead log and the settings that let PostgreSQL
   recover, to the end of what is stored or to a point in time you choose.

Every object is checked against its SHA-256 and its authentication tag before anything of it is used; the program stops
at the first one that is missing or damaged, and names it.

\`keys/*.asc\` are ordinary OpenPGP messages; \`gpg -d keys/<name>.asc\` shows the data key. Keep it secret: it opens
everything here. Everything else about the format is in Holdfast's \`docs/design/repository-format.md\`.
`
}
