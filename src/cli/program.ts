import { Command as Commander, InvalidArgumentError, Option as CommanderOption } from 'commander'
import { exitCodes } from '../std/fault.ts'
import type { ExitClass } from '../std/fault.ts'
import { UsageError } from './command.ts'
import type { Command, CommandGroup } from './command.ts'
import { commands } from './commands.ts'

/** What a command line asks for; `config` and `json` hold for every command. */
export interface Request {
  readonly command: Command
  readonly configPath: string | undefined
  readonly json: boolean
  readonly options: Readonly<Record<string, unknown>>
  readonly rest: readonly string[]
}

/** Exit classes that mean the same for every command. */
const commonExits: Partial<Readonly<Record<ExitClass, string>>> = {
  usage: 'the command line or the configuration cannot be used',
  bug: 'a bug in Holdfast',
  interrupted: 'interrupted by Ctrl-C or SIGTERM',
}

/** The whole command line as commander knows it; `found` gets the request once one has been read. */
export function createProgram(version: string, found: (request: Request) => void): Commander {
  const program = new Commander('holdfast')
    .description('Keeps PostgreSQL writable through failures and recoverable through disasters.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .showSuggestionAfterError(true)
    .exitOverride()
  for (const entry of commands) {
    if ('run' in entry) addCommand(program, entry, found)
    else addGroup(program, entry, found)
  }
  return program
}

function addGroup(parent: Commander, group: CommandGroup, found: (request: Request) => void): void {
  const child = subcommand(parent, group)
  for (const command of group.commands) addCommand(child, command, found, command.name === group.default)
}

function addCommand(parent: Commander, command: Command, found: (request: Request) => void, isDefault = false): void {
  const child = subcommand(parent, command, isDefault)
  for (const argument of command.arguments ?? []) child.argument(argument.syntax, argument.about)
  const names = Object.entries(command.options).map(([name, option]) => {
    const added = new CommanderOption(option.flag, option.about)
    if ('parse' in option) added.argParser((text, previous: unknown) => parseValue(() => option.parse(text, previous)))
    child.addOption(added)
    return { name, attribute: added.attributeName() }
  })
  child.option(
    '--config <file>',
    'configuration file (default: $HOLDFAST_CONFIG, ./holdfast.yaml, /etc/holdfast/holdfast.yaml)',
  )
  child.option('--json', 'print one JSON document instead of text')
  child.addHelpText('after', () => `\n${helpAfter(command)}`)
  child.action((...received: readonly unknown[]) => {
    const given = child.opts<Record<string, unknown>>()
    const options = names.map(({ name, attribute }) => {
      const isSwitch = !('parse' in (command.options[name] ?? {}))
      return [name, isSwitch ? given[attribute] === true : given[attribute]]
    })
    const rest = received
      .slice(0, -2)
      .flat()
      .filter((argument) => typeof argument === 'string')
    const configPath = typeof given['config'] === 'string' ? given['config'] : undefined
    found({ command, configPath, json: given['json'] === true, options: Object.fromEntries(options), rest })
  })
}

function subcommand(parent: Commander, entry: Command | CommandGroup, isDefault = false): Commander {
  return parent
    .command(entry.name, { isDefault, hidden: 'hidden' in entry && (entry.hidden ?? false) })
    .summary(entry.summary)
    .description(entry.description)
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
}

function parseValue(parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    if (error instanceof UsageError) throw new InvalidArgumentError(`${error.message}.`)
    throw error
  }
}

function helpAfter(command: Command): string {
  const examples = command.examples.flatMap(({ command: line, about }) => [`  $ ${line}`, `      ${about}`])
  const exits = exitTable(command).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`)
  return ['Examples:', ...examples, '', 'Exit codes:', ...exits].join('\n')
}

/** Every exit code of a command, ascending, with what it means. */
export function exitTable(command: Command): readonly { readonly code: number; readonly meaning: string }[] {
  const meanings = { ...commonExits, ...command.exits }
  return Object.entries(meanings)
    .map(([exitClass, meaning]) => ({ code: exitCodes[exitClass as ExitClass], meaning }))
    .toSorted((a, b) => a.code - b.code)
}
