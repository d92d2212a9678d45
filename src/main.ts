#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import { enableCompileCache } from 'node:module'

/**
 * The program: the only file that sees every subject. It prepares the process, then hands over to the command line.
 * Everything else is imported after that, so that the compile cache serves it.
 */
const stop = listenForStop()
enableCompileCache()
ignoreExperimentalSqlite()
process.exitCode = await main()
// A handle somebody forgot to close must not keep a finished command from ending.
process.exit()

async function main(): Promise<number> {
  const [{ runCli }, { systemClock }] = await Promise.all([import('./cli/run-cli.ts'), import('./std/clock.ts')])
  process.stdout.on('error', endQuietlyOnBrokenPipe)
  process.stderr.on('error', endQuietlyOnBrokenPipe)
  return await runCli({
    version: await packageVersion(),
    program: process.argv[1] ?? '',
    arguments: process.argv.slice(2),
    environment: process.env,
    workingDirectory: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    signal: await stopSignal(),
    clock: systemClock,
    openHttpServer: async (options) => {
      const { openHttpServer } = await import('./http/server.ts')
      return await openHttpServer(options)
    },
  })
}

/** From package.json, which stands one directory above both `src/main.ts` and `dist/main.js`. */
async function packageVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  return (manifest as { readonly version: string }).version
}

/** Hears the first Ctrl-C or SIGTERM from the very start; the second ends the process at once, for when stopping hangs. */
function listenForStop(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  let heard = false
  const onStop = (name: NodeJS.Signals): void => {
    if (heard) process.exit(130)
    heard = true
    resolve(name)
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onStop)
  // A job ends with whoever began it, also when that is killed.
  if (process.env['HOLDFAST_END_WITH_INPUT'] === '1') {
    process.stdin.once('end', () => void (heard || onStop('SIGHUP'))).resume()
  }
  return promise
}

async function stopSignal(): Promise<AbortSignal> {
  const [{ Fault }, { stdFaults }] = await Promise.all([import('./std/fault.ts'), import('./std/faults.ts')])
  const controller = new AbortController()
  process.on('uncaughtException', (error) => {
    process.stderr.write(
      `Cannot go on: this is a bug in Holdfast\n${error instanceof Error ? error.stack : String(error)}\n`,
    )
    process.exit(70)
  })
  void stop.then((name) => controller.abort(new Fault(stdFaults.interrupted, `Cannot finish: interrupted by ${name}`)))
  return controller.signal
}

/** `node:sqlite` announces on every start that it is experimental; operators cannot act on that. Other warnings stay. */
function ignoreExperimentalSqlite(): void {
  const emit = process.emitWarning.bind(process)
  process.emitWarning = (warning: string | Error, ...rest: never[]) => {
    if (!String(warning).includes('SQLite is an experimental feature')) emit(warning, ...rest)
  }
}

/** `holdfast status | head -1` is not an error. */
function endQuietlyOnBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit()
  throw error
}
