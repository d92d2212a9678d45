import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { compileProgram } from '../../test/support/compiled-program.ts'
import { report, renderReport, type Report } from './core/report.ts'
import type { Sample } from './core/sample.ts'
import { findContenders } from './find-contenders.ts'
import { measureRound, sizeOf } from './measure-tasks.ts'
import type { BenchmarkOptions } from './options.ts'
import { openSourceServer } from './source-server.ts'

/**
 * Backs the same server up with Holdfast and with every peer that is installed, compares, prints the tables, and gives
 * the report. Everything is made in a temporary directory (TMPDIR says where) and removed at the end.
 */
export async function benchmarkBackup(
  options: BenchmarkOptions,
  io: { readonly print: (text: string) => void; readonly note: (text: string) => void; readonly signal: AbortSignal },
): Promise<Report> {
  const { signal } = io
  const startedAt = new Date().toISOString()
  const loadBefore = loadavg()[0] ?? 0
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'hfb-'))
  stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  io.note('compiling the program')
  await mkdir(join(directory, 'program'))
  const program = compileProgram(join(directory, 'program'))
  io.note(`making the data: pgbench scale ${options.scale}, ${options.randomMegabytes} MB of random bytes`)
  const source = stack.use(await openSourceServer(options, { signal }))
  const found = await findContenders({ ...options, source, program, directory, signal })
  const contenders = found.contenders.filter(({ setting }) => setting === 'equal' || !options.equalOnly)
  const active = new Set(contenders)
  const missing = [...found.missing]
  const samples: Sample[] = []
  for (let round = 1; round <= options.runs; round++) {
    await measureRound({
      source,
      contenders: active,
      directory,
      tasks: options.tasks,
      round,
      onSample: (sample) => {
        samples.push(sample)
        io.note(describeSample(sample))
      },
      onFailure: (contender, error) => {
        missing.push({ peer: contender.name, because: error instanceof Error ? error.message : String(error) })
      },
      signal,
    })
  }
  const facts = {
    startedAt,
    machine: {
      processor: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      system: `Linux ${release()}`,
      loadBefore,
    },
    versions: {
      node: process.versions.node,
      postgres: source.server.installation.version,
      ...found.versions,
    },
    data: {
      scale: options.scale,
      randomMegabytes: options.randomMegabytes,
      clusterBytes: await sizeOf(join(source.server.dataDirectory, 'base')),
    },
    runs: options.runs,
    level: options.level,
    contenders: contenders.map(({ name, setting, about }) => ({ name, setting, about })),
    missing,
  }
  const result = report(facts, samples)
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
  io.print(renderReport(result))
  return result
}

function describeSample({ task, setting, contender, round, wallSeconds, cpuSeconds, storedBytes }: Sample): string {
  const stored = storedBytes === undefined ? '' : `, ${(storedBytes / 1e6).toFixed(1)} MB`
  return `${round} ${task} ${contender} ${setting}: ${wallSeconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s${stored}`
}
