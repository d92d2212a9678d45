import { defineFaults } from '../std/fault.ts'

/** What can be wrong with the configuration, before anything is done with it. */
export const configFaults = defineFaults({
  'config-missing': {
    exitClass: 'usage',
    meaning: 'No configuration file was found, or the named one does not exist or cannot be read.',
    hint: 'Name one with --config FILE or HOLDFAST_CONFIG; `holdfast config reference` shows every key.',
  },
  'config-invalid': {
    exitClass: 'usage',
    meaning: 'The configuration file has keys or values that Holdfast does not accept; all of them are listed.',
    hint: 'Correct the listed lines; `holdfast config reference` shows every key with its range.',
  },
  'config-secret-unusable': {
    exitClass: 'usage',
    meaning: 'A file that should hold a secret is missing, empty, unreadable, or readable by everyone.',
    hint: 'Make the file readable by the user Holdfast runs as and by nobody else: chmod 600 FILE.',
  },
  'config-key-file-unusable': {
    exitClass: 'usage',
    meaning:
      'A file that should hold an OpenPGP public key or certificates is missing, cannot be read, or holds something else.',
    hint: 'Write it with `gpg --armor --export RECIPIENT`, and check repositories[].recipientFiles; caFile names a PEM file.',
  },
})
