import { highestVerification, verificationLevels, type VerificationLevel } from '../../repository/core/proof-name.ts'
import { UsageError, asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

function parseLevel(text: string): VerificationLevel {
  const level = verificationLevels.find((candidate) => String(candidate) === text)
  if (level === undefined) throw new UsageError('a level from 0 to 4')
  return level
}

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'prove that a backup restores, and record it',
  description:
    'Verifies the newest backup, or the one named, and records what was seen in the repository, failures too. Each level includes those below it. 0: every object is there with its size. 1: every byte is read, its SHA-256 and its authentication checked, WAL included. 2: the page maps resolve, and the WAL goes on without a hole, from the start of the backup and behind every backup of the kept window, with records that recovery takes. 3: the backup is restored into an isolated sandbox and recovered to the end of the archive, the server opens, and the checksum of every page is right; pg_amcheck runs where it is installed. 4: the copy is also recovered to a place between two commits, which proves that it ends there; every database opens, the catalogues and the largest tables are read, and the queries of the configuration give what they should. What could not be looked at is named and does not count as proven.',
  arguments: [{ syntax: '[backup]', about: 'the backup to verify (default: the newest)' }],
  options: {
    repository: {
      flag: '--repository <name>',
      about: 'the repository it is in (default: the first one)',
      parse: asText,
    },
    level: { flag: '--level <n>', about: 'how far to go, 0 to 4 (default: 4)', parse: parseLevel },
    all: { flag: '--all', about: 'every backup; those but the newest up to level 2' },
    directory: {
      flag: '--directory <directory>',
      about: 'where levels 3 and 4 restore to (default: verification.directory)',
      parse: asText,
    },
  },
  examples: [
    { command: 'holdfast verify', about: 'the newest backup, by everything there is' },
    { command: 'holdfast verify --level 2', about: 'without restoring it' },
    { command: 'holdfast verify --all --level 1 --repository offsite', about: 'every byte of every backup off-site' },
  ],
  exits: {
    ok: 'the level is proven and recorded',
    degraded:
      'nothing is broken, but the level could not be proven in full, something is doubtful, or it was not recorded',
    integrity: 'something is broken; it is named, with what can still be restored',
    notFound: 'there is no repository, or no such backup',
    refused: 'the key does not open the repository, or this is root',
    unreachable: 'the repository does not answer; nothing was learned',
  },
  run: async (context, options, [backup]) => {
    const { runVerify } = await import('../verify/run-verify.ts')
    const { config } = await loadContextConfig(context)
    return await runVerify(config, context, { ...options, backup, level: options.level ?? highestVerification })
  },
})
