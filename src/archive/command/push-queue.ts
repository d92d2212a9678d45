import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Repository } from '../../repository/repository.ts'
import type { WalThreads } from '../../repository/wal-threads.ts'
import { pushWalFile } from './push-file.ts'

/** So much WAL may be under way before PostgreSQL asks for it. */
const aheadBytes = 96 * 1024 * 1024
const longestAhead = 8

/**
 * Pushes files, and while PostgreSQL waits for one already those that it will name next: it calls `archive_command` for one
 * after the other, and the repository can take several at once. What comes early is held for the call; a call is answered
 * only when that very file is durable in the repository.
 */
export class PushQueue {
  readonly #repository: Repository
  readonly #cluster: string
  readonly #threads: WalThreads
  readonly #signal: AbortSignal
  readonly #pushes = new Map<string, Push>()
  /** Names that are ready, in the order in which PostgreSQL will ask. */
  #upcoming: string[] = []

  constructor(options: {
    readonly repository: Repository
    readonly cluster: string
    readonly threads: WalThreads
    readonly signal: AbortSignal
  }) {
    this.#repository = options.repository
    this.#cluster = options.cluster
    this.#threads = options.threads
    this.#signal = options.signal
  }

  /** Resolves when the repository has the file. */
  async push(path: string, dataDirectory: string): Promise<void> {
    const identity = await identityOf(path)
    const early = this.#pushes.get(path)
    const known = identity !== undefined && early?.identity === identity.text
    const wanted = known ? early : this.#begin(path, dataDirectory, identity?.text ?? 'unreadable')
    try {
      await this.#pushAhead(path, dataDirectory, identity?.sizeBytes ?? aheadBytes)
      await wanted.done
    } finally {
      this.#pushes.delete(path)
    }
  }

  #begin(path: string, dataDirectory: string, identity: string): Push {
    const request = { repository: this.#repository, cluster: this.#cluster, path, dataDirectory }
    const done = pushWalFile(request, { threads: this.#threads, signal: this.#signal }).then(() => undefined)
    // Whoever asks for it hears of it; who never asks does not miss it.
    done.catch(() => undefined)
    const push = { identity, done }
    this.#pushes.set(path, push)
    return push
  }

  /** What failed early is done anew when it is asked for. */
  async #forgetFailure(path: string, push: Push): Promise<void> {
    try {
      await push.done
    } catch {
      if (this.#pushes.get(path) === push) this.#pushes.delete(path)
    }
  }

  async #pushAhead(path: string, dataDirectory: string, sizeBytes: number): Promise<void> {
    const directory = dirname(path)
    const most = Math.min(longestAhead, Math.floor(aheadBytes / Math.max(1, sizeBytes)))
    this.#upcoming = this.#upcoming.filter((name) => name > basename(path))
    if (this.#upcoming.length === 0) this.#upcoming = await readySegments(directory, basename(path))
    for (const name of this.#upcoming.slice(0, most)) {
      const next = join(directory, name)
      if (this.#pushes.has(next)) continue
      const identity = await identityOf(next)
      if (identity === undefined) continue
      const push = this.#begin(next, dataDirectory, identity.text)
      void this.#forgetFailure(next, push)
    }
  }
}

interface Push {
  /** Of the file that is pushed: another one under its name is another push. */
  readonly identity: string
  readonly done: Promise<void>
}

/** Undefined when it cannot be looked at. */
async function identityOf(path: string): Promise<{ readonly text: string; readonly sizeBytes: number } | undefined> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return undefined
  const { ino, dev, size, mtimeMs, ctimeMs } = found
  return { text: [dev, ino, size, mtimeMs, ctimeMs].join(), sizeBytes: size }
}

/** Segments that the server has marked as ready behind this one; from then on it does not touch them. */
async function readySegments(walDirectory: string, behind: string): Promise<string[]> {
  const marks = await readdir(join(walDirectory, 'archive_status')).catch(() => [])
  return marks
    .filter((mark) => /^[0-9A-F]{24}\.ready$/.test(mark))
    .map((mark) => mark.slice(0, 24))
    .filter((name) => name > behind)
    .toSorted()
}
