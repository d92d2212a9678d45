import { asText, defineCommand, UsageError } from '../command.ts'

function parseWhole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new UsageError(`a whole number from ${least} to ${most}`)
    }
    return value
  }
}

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'watch a cluster survive two disasters on this machine',
  description:
    'Makes a cluster of three nodes from nothing in a temporary directory, lets clients write, takes an encrypted backup, kills the primary twice, deletes rows and restores them, and checks and measures each step. Uses the embedded PostgreSQL that came with npm. Needs Linux, no root and no Docker; run as root it continues as `nobody`. Ctrl-C cleans up.',
  options: {
    seed: {
      flag: '--seed <n>',
      about: 'repeat the random choices of an earlier run',
      parse: parseWhole(0, 4_294_967_295),
    },
    keep: { flag: '--keep', about: 'leave the cluster running when done' },
    major: {
      flag: '--major <n>',
      about: 'the PostgreSQL major version to use (default: the embedded one)',
      parse: parseWhole(15, 18),
    },
    report: { flag: '--report <directory>', about: 'where to write the report (default: here)', parse: asText },
  },
  examples: [
    { command: 'holdfast demo', about: 'about a minute' },
    { command: 'holdfast demo --keep', about: 'and look around afterwards' },
    { command: 'holdfast demo --json', about: 'the report as JSON on standard output' },
  ],
  exits: {
    ok: 'every check passed',
    failed: 'a check failed, or the machine cannot run it',
  },
  run: async (context, options) => {
    const { demoCommand: run } = await import('../demo/demo-command.ts')
    return await run(context, options)
  },
})
