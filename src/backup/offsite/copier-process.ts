import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { EpochMs } from '../../std/clock.ts'
import { writeFileDurably } from '../../std/durable-file.ts'
import { Fault } from '../../std/fault.ts'
import type { CopierState, CopierStatus, MissingBytes, RememberedTimes } from './copy-progress.ts'
import { runCopier, type CopierOptions } from './run-copier.ts'

/** A status as it goes over a pipe: one JSON object a line. */
export interface CopierReport {
  readonly state: CopierState
  /** When the copy last had everything that the first repository had; null when that is not known. */
  readonly currentAt: string | null
  /** The same of the WAL alone. */
  readonly walCurrentAt: string | null
  readonly backupsMissing: number | null
  readonly missingBytes: MissingBytes | null
  readonly newest: { readonly id: string; readonly stoppedAt: string } | null
  readonly copiedBytes: number
  readonly problemCount: number
  /** The first of them. */
  readonly problems: readonly { readonly subject: string; readonly code: string; readonly message: string }[]
  readonly error: { readonly code: string | null; readonly message: string; readonly hint: string | null } | null
}

const tellEveryMs = 1000
const rememberEveryMs = 10_000
const shownProblems = 10

/**
 * The copier as a process of its own: runs until SIGTERM, SIGINT, or the end of `input`, which tells that whoever started
 * it is gone; anything that comes on `input` tells that there is something new. Writes its status to `output`. Since when
 * the copy is behind is kept in `memoryFile`, so that a restart does not make it look younger.
 */
export async function copierProcess(
  options: Omit<CopierOptions, 'signal' | 'onStatus' | 'woken' | 'remembered'> & { readonly memoryFile: string },
  io: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream },
): Promise<void> {
  const { clock, memoryFile } = options
  const stop = new AbortController()
  const onStop = (): void => stop.abort(new Error('the copier was asked to stop'))
  let woken = Promise.withResolvers<void>()
  const onData = (): void => {
    woken.resolve()
    woken = Promise.withResolvers<void>()
  }
  process.once('SIGTERM', onStop)
  process.once('SIGINT', onStop)
  io.input.once('end', onStop).on('data', onData).resume()
  const remember = await openMemory(memoryFile)
  let [toldAt, told, rememberedAt] = [Number.NEGATIVE_INFINITY, '', Number.NEGATIVE_INFINITY]
  try {
    await runCopier({
      ...options,
      remembered: remember,
      woken: () => woken.promise,
      signal: stop.signal,
      onStatus: (status) => {
        const report = copierReport(status)
        const now = clock.monotonic()
        const what = JSON.stringify([report.state, report.backupsMissing, report.problems, report.error])
        if (what !== told || now - toldAt >= tellEveryMs) {
          ;[toldAt, told] = [now, what]
          io.output.write(`${JSON.stringify(report)}\n`)
        }
        if (status.walCurrentAt === undefined || now - rememberedAt < rememberEveryMs) return
        rememberedAt = now
        remember.store(status)
      },
    })
  } finally {
    process.off('SIGTERM', onStop)
    process.off('SIGINT', onStop)
    io.input.off('end', onStop).off('data', onData).pause()
  }
}

export function copierReport(status: CopierStatus): CopierReport {
  const { newest, error, problems, missingBytes, state, copiedBytes } = status
  const fault = error instanceof Fault ? error : undefined
  const message = error instanceof Error ? error.message : String(error)
  return {
    state,
    currentAt: isoTime(status.currentAt),
    walCurrentAt: isoTime(status.walCurrentAt),
    backupsMissing: status.backupsMissing ?? null,
    missingBytes: missingBytes ?? null,
    newest: newest === undefined ? null : { id: newest.backup, stoppedAt: new Date(newest.stoppedAt).toISOString() },
    copiedBytes,
    problemCount: problems.size,
    problems: [...problems].slice(0, shownProblems).map(([subject, { code, message: text }]) => {
      return { subject, code, message: text }
    }),
    error: error === undefined ? null : { code: fault?.code ?? null, message, hint: fault?.hint ?? null },
  }
}

/** When the copy last had everything. Losing it only means that it is not known. */
async function openMemory(
  file: string,
): Promise<RememberedTimes & { readonly store: (times: RememberedTimes) => void }> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const text = await readFile(file, 'utf8').catch(() => '')
  const [currentAt, walCurrentAt] = text.split('\n').map((line) => parseTime(line))
  let writing = Promise.resolve()
  return {
    currentAt,
    walCurrentAt,
    store: (times) => {
      const content = `${isoTime(times.currentAt) ?? ''}\n${isoTime(times.walCurrentAt) ?? ''}\n`
      writing = writing.then(() => writeFileDurably(file, content)).catch(() => undefined)
    },
  }
}

function parseTime(text: string): EpochMs | undefined {
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : (time as EpochMs)
}

function isoTime(time: EpochMs | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString()
}
