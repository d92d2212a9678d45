import { defineCommand } from '../command.ts'

export const versionCommand = defineCommand({
  name: 'version',
  summary: 'print the versions of Holdfast, Node.js and the PostgreSQL installations found',
  description: 'Prints the versions of Holdfast and Node.js, and every PostgreSQL installation found on this machine.',
  options: {},
  examples: [
    { command: 'holdfast version', about: 'what is installed here' },
    { command: 'holdfast version --json', about: 'the same for machines' },
  ],
  exits: { ok: 'printed' },
  run: async ({ version, json, output, environment }) => {
    const { findInstallations, installationSearch } = await import('../../postgres/installation.ts')
    const installations = (await findInstallations(installationSearch(environment, process.getuid?.() ?? 0))).map(
      ({ major, version: exact, source, binDirectory }) => ({
        major,
        version: exact,
        source,
        binDirectory,
      }),
    )
    if (json) {
      output.printJson({ holdfast: version, node: process.versions.node, postgres: installations })
      return 'ok'
    }
    output.print(`holdfast ${version}`)
    output.print(`node ${process.versions.node}`)
    for (const found of installations) output.print(`postgres ${found.version} (${found.source}) ${found.binDirectory}`)
    return 'ok'
  },
})
