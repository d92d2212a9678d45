/**
 * `npm run bench -- SUBJECT [options]`: compares Holdfast with the programs that people use instead, on this machine.
 * As root it goes on as `nobody`, as PostgreSQL refuses root. Ctrl-C leaves nothing behind.
 */
import { copyFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runsAsRoot, runUnprivileged } from '../src/std/unprivileged.ts'
import { parseBenchmarkOptions, usage } from './backup/options.ts'

const file = fileURLToPath(import.meta.url)
const reportName = 'report.json'
const [subject, ...words] = process.argv.slice(2)

process.exitCode = await main()

async function main(): Promise<number> {
  if (subject !== 'backup' || words.includes('--help')) {
    process.stderr.write(`${usage}\n`)
    return words.includes('--help') ? 0 : 2
  }
  try {
    parseBenchmarkOptions(words)
  } catch (error) {
    process.stderr.write(`Cannot run the benchmark: ${error instanceof Error ? error.message : String(error)}\n`)
    return 2
  }
  return runsAsRoot() ? await asNobody() : await benchmark()
}

/** The report is written where `nobody` may write, then brought to where it is wanted. */
async function asNobody(): Promise<number> {
  const { json } = parseBenchmarkOptions(words)
  return await runUnprivileged({
    programRoot: dirname(dirname(file)),
    entry: file,
    arguments: ['backup', ...words],
    environment: process.env,
    collect: async (scratch) => {
      if (json !== undefined) await copyFile(join(scratch, reportName), resolve(json)).catch(() => undefined)
    },
  })
}

async function benchmark(): Promise<number> {
  const scratch = process.env['HOLDFAST_SCRATCH']
  // What root started for us has a directory for everything; its name must stay short for the sockets in it.
  if (scratch !== undefined) process.env['TMPDIR'] = scratch
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => stop.abort(new Error(`interrupted by ${name}`)))
  }
  const { benchmarkBackup } = await import('./backup/run.ts')
  try {
    const options = parseBenchmarkOptions(words)
    const json = scratch === undefined ? options.json : join(scratch, reportName)
    await benchmarkBackup(
      { ...options, json },
      {
        print: (text) => void process.stdout.write(`${text}\n`),
        note: (text) => void process.stderr.write(`${text}\n`),
        signal: stop.signal,
      },
    )
    return 0
  } catch (error) {
    process.stderr.write(`Cannot complete the benchmark: ${error instanceof Error ? error.message : String(error)}\n`)
    return stop.signal.aborted ? 130 : 1
  }
}
