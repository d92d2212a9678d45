import { CommanderError } from 'commander'
import type { Clock } from '../std/clock.ts'
import { Fault, exitCodes, isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import type { CommandContext } from './command.ts'
import { cliFaults } from './faults.ts'
import { createProgram } from './program.ts'
import type { Request } from './program.ts'
import { errorDocument, formatError } from './terminal/error-block.ts'
import { openOutput } from './terminal/output.ts'

/** What the process gives to the command line; a test gives its own. */
export interface CliHost {
  readonly version: string
  /** The program's own file, for commands that start it again. */
  readonly program: string
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly workingDirectory: string
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly openHttpServer: CommandContext['openHttpServer']
}

/** Reads the command line, runs the command, prints its error if it has one, and gives back the exit code. */
export async function runCli(host: CliHost): Promise<number> {
  const output = openOutput(host.stdout, host.stderr)
  let json = host.arguments.includes('--json')
  try {
    const request = readRequest(host, (text) => output.print(text))
    if (request === undefined) return exitCodes.ok
    json = request.json
    const exitClass = await request.command.run({ ...host, ...request, output }, request.options, request.rest)
    return exitCodes[exitClass]
  } catch (thrown) {
    const error = host.signal.aborted ? interruption(host.signal, thrown) : thrown
    const { text, exitCode } = formatError(error)
    if (json) output.printJson(errorDocument(error))
    else output.note(text)
    return exitCode
  }
}

/** Undefined when the command line asked for help or the version, which has then been printed. */
function readRequest(host: CliHost, print: (text: string) => void): Request | undefined {
  let found: Request | undefined
  const program = createProgram(host.version, (request) => {
    found = request
  })
  let complaint = ''
  const outputs = {
    writeOut: (text: string) => print(text.trimEnd()),
    writeErr: (text: string) => {
      complaint += text
    },
  }
  program.configureOutput(outputs)
  for (const command of program.commands) {
    command.configureOutput(outputs)
    for (const nested of command.commands) nested.configureOutput(outputs)
  }
  try {
    program.parse(host.arguments, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return undefined
    throw usageFault(error, complaint)
  }
  return found
}

function usageFault(error: CommanderError, complaint: string): Fault {
  // Commander prints the whole help when a command is missing, and "error: …" with a suggestion otherwise.
  const said = error.code === 'commander.help' ? 'a command is missing' : complaint.trim().replace(/^error: /, '')
  return new Fault(cliFaults['cli-usage'], `Cannot read the command line: ${said.replaceAll(/\s*\n\s*/g, ' ')}`)
}

/** After Ctrl-C whatever a command throws is its way of stopping; a fault may still say what that left behind. */
function interruption(signal: AbortSignal, thrown: unknown): Fault {
  const reason: unknown = signal.reason
  if (isFault(thrown, stdFaults.interrupted)) return thrown
  if (reason instanceof Fault && !(thrown instanceof Fault)) return reason
  const message = reason instanceof Fault ? reason.message : 'Cannot finish: interrupted'
  return new Fault(stdFaults.interrupted, message, { cause: thrown })
}
