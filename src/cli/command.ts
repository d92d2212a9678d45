import type { Clock } from '../std/clock.ts'
import { parseDuration } from '../std/duration.ts'
import type { Duration } from '../std/duration.ts'
import type { ExitClass } from '../std/fault.ts'
import type { HttpServer, HttpServerOptions } from './http-server.ts'
import type { Output } from './terminal/output.ts'

/**
 * What a command is: data for the parser, the help text and `docs/reference/cli.md`, and one function that does it. The
 * definition is loaded for every command line, so its file imports nothing heavy; `run` loads what it needs itself.
 */
export interface Command {
  readonly name: string
  /** Not for people: Holdfast starts it itself. Neither help nor reference show it. */
  readonly hidden?: boolean
  /** One line, for the list of commands. */
  readonly summary: string
  /** A paragraph, for the command's own help. */
  readonly description: string
  /** Positional arguments as commander writes them: `[key...]`. */
  readonly arguments?: readonly { readonly syntax: string; readonly about: string }[]
  readonly options: OptionTable
  readonly examples: readonly Example[]
  /** What each exit class means for this command; usage, bug and interrupted mean the same everywhere. */
  readonly exits: Partial<Readonly<Record<ExitClass, string>>>
  readonly run: (
    context: CommandContext,
    options: Readonly<Record<string, unknown>>,
    rest: readonly string[],
  ) => Promise<ExitClass>
}

export interface CommandGroup {
  readonly name: string
  readonly summary: string
  readonly description: string
  /** The command that the group's name alone stands for. */
  readonly default?: string
  readonly commands: readonly Command[]
}

export interface Example {
  readonly command: string
  readonly about: string
}

/** A switch, or an option with a value. `parse` throws a {@link UsageError} when it cannot read the value. */
export type Option =
  | { readonly flag: `--${string}`; readonly about: string }
  | {
      readonly flag: `--${string} <${string}>`
      readonly about: string
      /** `previous` is what the option gave when it stood before on the command line. */
      readonly parse: (text: string, previous: unknown) => unknown
    }

export type OptionTable = Readonly<Record<string, Option>>

export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends {
    readonly parse: (text: string, previous: unknown) => infer Value
  }
    ? Value | undefined
    : boolean
}

/** A value on the command line that cannot be used; `expected` continues "expected …". */
export class UsageError extends Error {
  constructor(expected: string) {
    super(`expected ${expected}`)
    this.name = 'UsageError'
  }
}

export interface CommandContext {
  readonly version: string
  /** The program's own file, for commands that start it again. */
  readonly program: string
  /** Print one JSON document instead of text. */
  readonly json: boolean
  readonly output: Output
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly workingDirectory: string
  /** The file named with `--config`. */
  readonly configPath: string | undefined
  /** Aborts on the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
  readonly clock: Clock
  /** Given by the composition root, since `cli` and `http` know nothing of each other. */
  readonly openHttpServer: (options: HttpServerOptions) => Promise<HttpServer>
}

/** Declares a command so that `run` gets its options typed by their table. */
export function defineCommand<const Table extends OptionTable>(
  command: Omit<Command, 'options' | 'run'> & {
    readonly options: Table
    readonly run: (context: CommandContext, options: OptionValues<Table>, rest: readonly string[]) => Promise<ExitClass>
  },
): Command {
  // The parser fills exactly the keys of the table, with what each option's `parse` gave.
  return { ...command, run: (context, options, rest) => command.run(context, options as OptionValues<Table>, rest) }
}

/** Reads an option's value as a length of time. */
export function asDuration(text: string): Duration {
  const duration = parseDuration(text)
  if (duration === undefined) throw new UsageError('a duration with its unit, like 30d or 12h')
  return duration
}

/** Takes an option's value as it is. */
export function asText(text: string): string {
  return text
}
