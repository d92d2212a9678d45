import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { compileProgram } from '../../test/support/compiled-program.ts'
import { report, renderReport, type Report } from './core/report.ts'
import type { Sample } from './core/sample.ts'
import type { Contender } from './contender.ts'
import { findContenders } from './find-contenders.ts'
import { measureRound, sizeOf } from './measure-tasks.ts'
import { measureWal, walTasks } from './measure-wal.ts'
import type { BenchmarkOptions } from './options.ts'
import { openSourceServer } from './source-server.ts'

interface Io {
  readonly print: (text: string) => void
  readonly note: (text: string) => void
  readonly signal: AbortSignal
}

/**
 * Backs the same server up with Holdfast and with every peer that is installed, compares, prints the tables, and gives
 * the report. Everything is made in a temporary directory (TMPDIR says where) and removed at the end.
 */
export async function benchmarkBackup(options: BenchmarkOptions, io: Io): Promise<Report> {
  const startedAt = new Date().toISOString()
  const loadBefore = loadavg()[0] ?? 0
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'hfb-'))
  stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  const samples: Sample[] = []
  const onSample = (sample: Sample): void => {
    samples.push(sample)
    io.note(describeSample(sample))
  }
  const { versions, missing, ...measured } = await measureBackups(options, directory, onSample, io)
  const notMeasured = [...missing]
  try {
    await measureWal({ ...options, directory, onSample, signal: io.signal })
  } catch (error) {
    io.signal.throwIfAborted()
    notMeasured.push({ peer: 'WAL', because: error instanceof Error ? error.message : String(error) })
  }
  const machine = {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `Linux ${release()}`,
    loadBefore,
  }
  const { runs, level } = options
  const facts = {
    startedAt,
    machine,
    runs,
    level,
    versions: { node: process.versions.node, ...versions },
    missing: notMeasured,
    ...measured,
  }
  const result = report(facts, samples)
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
  io.print(renderReport(result))
  return result
}

async function measureBackups(
  options: BenchmarkOptions,
  directory: string,
  onSample: (sample: Sample) => void,
  { note, signal }: Io,
): Promise<Pick<Report, 'versions' | 'data' | 'contenders' | 'missing'>> {
  const { scale, randomMegabytes, tasks } = options
  const data = { scale, randomMegabytes, clusterBytes: 0 }
  if ([...tasks].every((task) => walTasks.includes(task))) return { versions: {}, data, contenders: [], missing: [] }
  note('compiling the program')
  await mkdir(join(directory, 'program'))
  const program = compileProgram(join(directory, 'program'))
  note(`making the data: pgbench scale ${scale}, ${randomMegabytes} MB of random bytes`)
  await using source = await openSourceServer(options, { signal })
  const found = await findContenders({ ...options, source, program, directory, signal })
  const contenders = found.contenders.filter(({ setting }) => setting === 'equal' || !options.equalOnly)
  const active = new Set(contenders)
  const missing = [...found.missing]
  const onFailure = (contender: Contender, error: unknown): void => {
    missing.push({ peer: contender.name, because: error instanceof Error ? error.message : String(error) })
  }
  for (let round = 1; round <= options.runs; round++) {
    await measureRound({ source, contenders: active, directory, tasks, round, onSample, onFailure, signal })
  }
  return {
    versions: { postgres: source.server.installation.version, ...found.versions },
    data: { ...data, clusterBytes: await sizeOf(join(source.server.dataDirectory, 'base')) },
    contenders: contenders.map(({ name, setting, about }) => ({ name, setting, about })),
    missing,
  }
}

function describeSample(sample: Sample): string {
  const { task, setting, contender, round, wallSeconds, cpuSeconds, storedBytes, segments } = sample
  const figures = [
    `${wallSeconds.toFixed(2)} s`,
    ...(cpuSeconds === undefined ? [] : [`CPU ${cpuSeconds.toFixed(2)} s`]),
    ...(storedBytes === undefined ? [] : [`${(storedBytes / 1e6).toFixed(1)} MB`]),
    ...(segments === undefined ? [] : [`${(segments / wallSeconds).toFixed(1)} segments/s`]),
  ]
  return `${round} ${task} ${contender} ${setting}: ${figures.join(', ')}`
}
