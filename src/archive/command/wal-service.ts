import { watch } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Repository } from '../../repository/repository.ts'
import { startWalThreads } from '../../repository/wal-threads.ts'
import type { Clock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { withProcessLock } from '../../std/process-lock.ts'
import { FetchQueue } from './fetch-queue.ts'
import { PushQueue } from './push-queue.ts'
import { requestEnd, stopRecoveryExit, walServiceFiles } from './wal-script.ts'

export interface WalServiceOptions {
  readonly repository: Repository
  readonly cluster: string
  /** Where `holdfast-wal.sh` lies and leaves its requests. */
  readonly directory: string
  /** Threads that compress and encrypt. */
  readonly threads: number
  /** Ends when nobody has asked for so long; the script then has it started again. */
  readonly idleMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Requests are seen when they come; this is for one that a notification was lost of. */
const lookAgainMs = 1000
/** An answer is read within milliseconds. */
const keepAnswersMs = 30_000

/**
 * Serves the requests that `holdfast-wal.sh` leaves, one service a directory: a second one ends at once. Whatever a crash
 * leaves here means nothing: what was answered is durable in the repository or in its place, and what was not is asked
 * again.
 */
export async function runWalService(options: WalServiceOptions): Promise<void> {
  const { directory, clock, signal } = options
  await mkdir(directory, { recursive: true, mode: 0o700 })
  try {
    const lock = { clock, deadlineMs: 0, signal }
    await withProcessLock(join(directory, 'lock'), lock, () => new WalService(options).run())
  } catch (error) {
    if (!isFault(error, stdFaults['deadline-passed'])) throw error
  }
}

/** Makes the directories that the script needs; gives where the service and the script find each other. */
export async function prepareWalDirectory(directory: string): Promise<void> {
  for (const name of [walServiceFiles.requests, walServiceFiles.answers, walServiceFiles.ready]) {
    await mkdir(join(directory, name), { recursive: true, mode: 0o700 })
  }
}

class WalService {
  readonly #options: WalServiceOptions
  readonly #running = new Map<string, Promise<void>>()
  readonly #answers: { readonly file: string; readonly at: number }[] = []
  #lastAskedAt: number

  constructor(options: WalServiceOptions) {
    this.#options = options
    this.#lastAskedAt = options.clock.monotonic()
  }

  async run(): Promise<void> {
    const { directory, repository, cluster, threads: count, clock, signal, idleMs } = this.#options
    for (const name of Object.values(walServiceFiles)) await rm(join(directory, name), { recursive: true, force: true })
    await prepareWalDirectory(directory)
    await using threads = startWalThreads(repository, count)
    const push = new PushQueue({ repository, cluster, threads, signal })
    const ready = join(directory, walServiceFiles.ready)
    const fetch = new FetchQueue(ready, { repository, cluster, threads, clock, signal })
    let come = Promise.withResolvers<void>()
    using _watcher = closable(watch(join(directory, walServiceFiles.requests), () => come.resolve()))
    await writeFile(join(directory, walServiceFiles.pid), `${process.pid}\n`)
    try {
      while (!signal.aborted && (this.#running.size > 0 || clock.monotonic() - this.#lastAskedAt < idleMs)) {
        come = Promise.withResolvers()
        await this.#look(push, fetch)
        const over = new AbortController()
        const asleep = clock.sleep(lookAgainMs, { signal: AbortSignal.any([signal, over.signal]) })
        await Promise.race([come.promise, asleep.catch(() => undefined)])
        over.abort()
        await this.#removeOldAnswers()
      }
    } finally {
      // Whoever asks from now on does it himself; who has asked already is still answered.
      await rm(join(directory, walServiceFiles.pid), { force: true })
      await this.#look(push, fetch)
      await Promise.all(this.#running.values())
    }
  }

  async #look(push: PushQueue, fetch: FetchQueue): Promise<void> {
    const requests = join(this.#options.directory, walServiceFiles.requests)
    for (const file of await readdir(requests)) {
      if (this.#running.has(file)) continue
      const text = await readFile(join(requests, file), 'utf8').catch(() => '')
      const [verb, name = '', path = '', dataDirectory = '', end] = text.split('\n')
      if (end !== requestEnd) continue
      this.#lastAskedAt = this.#options.clock.monotonic()
      const isAsked = (): boolean => isAlive(file)
      const work = verb === 'push' ? push.push(path, dataDirectory).then(() => 'placed' as const) : undefined
      const done = work ?? fetch.fetch({ name, path, dataDirectory }, isAsked)
      const answered = this.#answer(file, verb === 'push', dataDirectory, done).finally(() =>
        this.#running.delete(file),
      )
      this.#running.set(file, answered)
    }
  }

  async #answer(
    file: string,
    isPush: boolean,
    dataDirectory: string,
    done: Promise<'placed' | 'absent'>,
  ): Promise<void> {
    const outcome = await done.then(
      (result) => (result === 'placed' ? { status: 0, said: '' } : { status: 1, said: '' }),
      async (error: unknown) => {
        const said = describe(error)
        return { status: isPush || (await isStandby(dataDirectory)) ? 1 : stopRecoveryExit, said }
      },
    )
    const { directory, clock } = this.#options
    const answer = join(directory, walServiceFiles.answers, file)
    // First the request goes, so that it is not seen again once it is answered.
    await rm(join(directory, walServiceFiles.requests, file), { force: true })
    await writeFile(join(directory, `${file}.new`), `${outcome.status}\n${outcome.said}\n`, { mode: 0o600 })
    await rename(join(directory, `${file}.new`), answer)
    this.#answers.push({ file: answer, at: clock.monotonic() })
    this.#lastAskedAt = clock.monotonic()
  }

  async #removeOldAnswers(): Promise<void> {
    const before = this.#options.clock.monotonic() - keepAnswersMs
    while (this.#answers[0] !== undefined && this.#answers[0].at < before) {
      await rm((this.#answers.shift() as { readonly file: string }).file, { force: true })
    }
  }
}

/** The file of a request ends in the number of the process that waits for the answer. */
function isAlive(requestFile: string): boolean {
  try {
    process.kill(Number(requestFile.split('.').at(-1)), 0)
    return true
  } catch {
    return false
  }
}

/** On a standby trouble must not stop the server: it asks again. */
export async function isStandby(dataDirectory: string): Promise<boolean> {
  return (await readdir(dataDirectory).catch(() => [] as string[])).includes('standby.signal')
}

function describe(error: unknown): string {
  const text = error instanceof Fault ? `${error.message} (${error.code})` : String(error)
  return text.replaceAll(/\s*\n\s*/g, ' ')
}

function closable(watcher: ReturnType<typeof watch>): Disposable {
  watcher.on('error', () => undefined)
  return { [Symbol.dispose]: () => watcher.close() }
}
