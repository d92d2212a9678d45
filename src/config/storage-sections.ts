import { z } from 'zod'
import { checkCopies, copySettings } from './copy-settings.ts'
import { absolutePath, duration, kind, list, setting, text } from './setting.ts'

const filesystemRepository = z.strictObject({
  name: setting(text(/^[a-z][a-z0-9-]{0,39}$/, 'lower-case letters, digits and hyphens, a letter first'), {
    about: 'What commands call this repository.',
    change: 'restart',
    example: 'local',
  }),
  type: setting(kind('filesystem'), {
    about: '`filesystem`: a directory, local or mounted.',
    change: 'restart',
    example: 'filesystem',
  }),
  path: setting(absolutePath(), {
    about: 'The directory of the repository.',
    change: 'restart',
    example: '/srv/backup/holdfast',
  }),
  passphraseFile: setting(absolutePath().optional(), {
    about:
      'A file with the passphrase that opens the repository. A copy without keys of its own uses those of the first.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/repository.passphrase',
  }),
  recipientFiles: setting(list(absolutePath()).prefault([]), {
    about: 'OpenPGP public keys (ASCII-armored files) that can open the repository as well; used when it is created.',
    change: 'restart',
    example: "['/etc/holdfast/operator.pub.asc']",
  }),
  privateKeyFile: setting(absolutePath().optional(), {
    about: 'An OpenPGP private key (ASCII-armored file) that opens the repository instead of the passphrase.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/node.sec.asc',
  }),
  ...copySettings,
})

/** Where backups and WAL go: the first repository. Every other is a copy of it in another place. */
export const repositoriesSection = z
  .array(z.discriminatedUnion('type', [filesystemRepository]))
  .max(8)
  .superRefine((repositories, context) => {
    const seen = new Set<string>()
    repositories.forEach((repository, index) => {
      if (seen.has(repository.name)) {
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name no other repository has' })
      }
      seen.add(repository.name)
    })
    checkCopies(repositories, context)
  })
  .prefault([])

export const walSection = z
  .strictObject({
    flush: setting(duration('1s', '1m').prefault('5s'), {
      about:
        'How often the unfinished WAL segment is written to the first repository: the most that losing every node costs.',
      change: 'restart',
    }),
  })
  .prefault({})
