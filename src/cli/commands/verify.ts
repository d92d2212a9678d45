import { highestVerification, verificationLevels, type VerificationLevel } from '../../repository/core/proof-name.ts'
import { UsageError, asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

const highest = highestVerification

function parseLevel(text: string): VerificationLevel {
  const level = verificationLevels.find((candidate) => String(candidate) === text && candidate <= highest)
  if (level === undefined) throw new UsageError(`a level from 0 to ${highest}`)
  return level
}

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'prove that a backup is good, and record it',
  description:
    'Verifies the newest backup, or the one named, and records what was seen in the repository, failures too. Each level includes those below it. 0: every object is there with its size. 1: every byte is read, its SHA-256 and its authentication checked, WAL included. 2: the page maps resolve, and the WAL goes on without a hole, from the start of the backup and behind every backup of the kept window, with records that recovery takes. What could not be looked at is named and does not count as proven.',
  arguments: [{ syntax: '[backup]', about: 'the backup to verify (default: the newest)' }],
  options: {
    repository: {
      flag: '--repository <name>',
      about: 'the repository it is in (default: the first one)',
      parse: asText,
    },
    level: { flag: '--level <n>', about: `how far to go, 0 to ${highest} (default: ${highest})`, parse: parseLevel },
    all: { flag: '--all', about: 'every backup' },
  },
  examples: [
    { command: 'holdfast verify', about: 'the newest backup' },
    { command: 'holdfast verify --all --level 1 --repository offsite', about: 'every byte of every backup off-site' },
  ],
  exits: {
    ok: 'the level is proven and recorded',
    degraded:
      'nothing is broken, but the level could not be proven in full, something is doubtful, or it was not recorded',
    integrity: 'something is broken; it is named, with what can still be restored',
    notFound: 'there is no repository, or no such backup',
    refused: 'the key does not open the repository',
    unreachable: 'the repository does not answer; nothing was learned',
  },
  run: async (context, options, [backup]) => {
    const { runVerify } = await import('../verify/run-verify.ts')
    const { config } = await loadContextConfig(context)
    return await runVerify(config, context, { ...options, backup, level: options.level ?? highest })
  },
})
