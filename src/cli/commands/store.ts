import { asText, defineCommand } from '../command.ts'
import type { CommandGroup } from '../command.ts'

const probeCommand = defineCommand({
  name: 'probe',
  summary: 'find out what a store can do, by trying it',
  description:
    'Writes, races, lists, reads and deletes small objects of its own in a store and tells what was found: whether objects are created only if absent, also when several try at once; whether they can be read and are listed at once, in order; whether parts can be read; whether deleting works or is denied to these credentials; whether a lock really locks and wrong checksums are refused; latency, throughput, and the difference of the clocks. Nothing is left behind; what cannot be removed is named.',
  options: {
    repository: {
      flag: '--repository <name>',
      about: 'the store of this repository (default: the first one)',
      parse: asText,
    },
    store: {
      flag: '--store <address>',
      about: 'a store by its address: /path, s3://…, webdavs://…; needs no configuration',
      parse: asText,
    },
  },
  examples: [
    { command: 'holdfast store probe --repository offsite', about: 'what this one can do' },
    {
      command: "holdfast store probe --store 's3://acme-backups/try?endpoint=https://s3.example.org'",
      about: 'before it is configured',
    },
  ],
  exits: {
    ok: 'it can hold the first repository',
    degraded:
      'it can hold a copy, but not a repository that several processes write into, or with a limit that is told',
    refused: 'it cannot be used safely, or refuses the credentials',
    notFound: 'there is no such repository, directory, bucket or folder',
    failed: 'these credentials may not do what has to be tried, or the store is full',
    busy: 'the store asks to be left alone',
    unreachable: 'the store does not answer',
  },
  run: async (context, options) => {
    const { runStoreProbe } = await import('../stores/run-store-probe.ts')
    return await runStoreProbe(context, options)
  },
})

export const storeCommands: CommandGroup = {
  name: 'store',
  summary: 'what the places of repositories can do',
  description: 'Commands about the places where repositories are: directories, buckets, WebDAV folders.',
  commands: [probeCommand],
}
