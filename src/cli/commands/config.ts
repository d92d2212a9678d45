import { defineCommand } from '../command.ts'
import type { CommandGroup } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

const show = defineCommand({
  name: 'show',
  summary: 'print the configuration in effect, defaults filled in',
  description:
    'Prints the configuration in effect with every default filled in. It holds no secret: secrets are in files.',
  options: {},
  examples: [{ command: 'holdfast config show', about: 'the whole configuration as YAML' }],
  exits: { ok: 'printed' },
  run: async (context) => {
    const [{ asWritten }, yaml] = await Promise.all([import('../../config/setting.ts'), import('yaml')])
    const { file, config } = await loadContextConfig(context)
    const written = asWritten(config)
    if (context.json) context.output.printJson({ file, config: written })
    else context.output.print(`# ${file}, with defaults filled in\n${yaml.stringify(written).trimEnd()}`)
    return 'ok'
  },
})

const check = defineCommand({
  name: 'check',
  summary: 'check the configuration file and report everything that is wrong with it',
  description:
    'Checks the configuration file alone: keys, values, ranges, contradictions. All problems are reported at once, each with its line, the given value, what was expected, and the nearest key. `holdfast check` also looks at the machine.',
  options: {},
  examples: [
    { command: 'holdfast config check', about: 'check the file that commands would use' },
    { command: 'holdfast config check --config /tmp/new.yaml', about: 'check a file before installing it' },
  ],
  exits: { ok: 'the file is fine' },
  run: async (context) => {
    const { file, config } = await loadContextConfig(context)
    if (context.json) context.output.printJson({ file, cluster: config.cluster, node: config.node.name, problems: [] })
    else context.output.print(`${file}: fine (cluster ${config.cluster}, node ${config.node.name})`)
    return 'ok'
  },
})

const schema = defineCommand({
  name: 'schema',
  summary: 'print the JSON Schema of the configuration file',
  description:
    'Prints the JSON Schema (draft 2020-12) of holdfast.yaml, for editors that complete and check while typing.',
  options: {},
  examples: [{ command: 'holdfast config schema > holdfast.schema.json', about: 'keep it beside holdfast.yaml' }],
  exits: { ok: 'printed' },
  run: async ({ output }) => {
    const { configJsonSchema } = await import('../../config/json-schema.ts')
    output.printJson(configJsonSchema())
    return 'ok'
  },
})

const reference = defineCommand({
  name: 'reference',
  summary: 'explain the keys of the configuration file',
  description: 'Explains every key: what it does, what it expects, its default, and what it takes to change it.',
  arguments: [{ syntax: '[keys...]', about: 'only these keys or sections, e.g. lease postgres.port' }],
  options: {},
  examples: [
    { command: 'holdfast config reference', about: 'every key' },
    { command: 'holdfast config reference lease', about: 'the keys of one section' },
  ],
  exits: { ok: 'printed', notFound: 'no key begins with what was asked for' },
  run: async ({ output, json }, _options, keys) => {
    const { describeSettings, selectSettings } = await import('../../config/reference.ts')
    const settings = selectSettings(keys)
    if (json) output.printJson(settings)
    else if (settings.length === 0) output.note(`No key begins with ${keys.join(' or ')}.`)
    else output.print(describeSettings(settings).join('\n\n'))
    return settings.length === 0 ? 'notFound' : 'ok'
  },
})

export const configCommands: CommandGroup = {
  name: 'config',
  summary: 'show, check and explain the configuration file',
  description: 'Shows, checks and explains holdfast.yaml.',
  commands: [show, check, schema, reference],
}
