import { createHash, randomUUID } from 'node:crypto'
import { Fault, isFault } from '../../std/fault.ts'
import { storeFaults } from '../faults.ts'
import { RequestFailure } from '../request-fault.ts'
import { refuse, type Send, type WebDavConnection } from './webdav-connection.ts'
import { propfind } from './webdav-listing.ts'
import type { WebDavStoreOptions } from './webdav-options.ts'
import { uploadFile } from './webdav-upload.ts'

/** Ours alone: keys do not begin with a dot. */
export const ownFolder = '/.holdfast'
const uploadFolder = `${ownFolder}/uploads`
const claimFolder = `${ownFolder}/claims`
/** No file of ours lives so long; what is older was left by a process that died. */
const abandonedAfterMs = 24 * 3_600_000
/** Whoever holds a claim begins its one request in it so soon, or claims again … */
const claimUsableMs = 20_000
/** … and whoever meets one that is older by so much need not heed it. */
const claimStaleMs = 45_000
const racers = 4
const races = 3

export type Outcome = 'created' | 'exists'

/** How a server can be brought to let only one of several creators win. */
export type Exclusion = 'folders' | 'moves' | 'none'

/**
 * Creates files whole and once. A file is uploaded under a name of its own, checked, and moved to its key with
 * `Overwrite: F`. That alone is not enough: Apache looks whether the target exists and then moves, and two movers may both
 * see nothing. So a creator first claims the key by making a folder, which file systems do for one only. Where a server makes
 * a folder twice (rclone), its moves are tried out instead, in a race. See docs/decisions/0011.
 */
export class WebDavCreator {
  readonly #connection: WebDavConnection
  readonly #options: WebDavStoreOptions
  readonly #folders = new Set<string>()
  #exclusion: Promise<Exclusion> | undefined

  constructor(connection: WebDavConnection, options: WebDavStoreOptions) {
    this.#connection = connection
    this.#options = options
  }

  async create(key: string, body: Uint8Array, signal: AbortSignal | undefined): Promise<Outcome> {
    signal?.throwIfAborted()
    const exclusion = await this.#settle(signal)
    const target = `/${key}`
    const action = `write object ${key}`
    const connection = this.#connection
    const there = await connection.call(action, signal, (send) => this.#exists(send, target, signal))
    if (there) return 'exists'
    const temporary = await this.#upload(action, body, exclusion, signal)
    let moved = false
    try {
      const outcome =
        exclusion === 'folders'
          ? await this.#moveClaimed(action, key, temporary, signal)
          : await this.#moveFreely(action, temporary, target, signal)
      moved = outcome === 'created'
      return outcome
    } finally {
      if (!moved) await this.#remove(temporary)
    }
  }

  /** What is claimed and moved by; found out once. Throws `store-unconditional` where nothing is safe but has to be. */
  async #settle(signal: AbortSignal | undefined): Promise<Exclusion> {
    this.#exclusion ??= this.exclusion(signal)
    try {
      const found = await this.#exclusion
      if (found !== 'none' || this.#options.conditionalCreate === 'emulated') return found
    } catch (error) {
      this.#exclusion = undefined
      throw error
    }
    const { description } = this.#connection
    const message = `Cannot write into ${description} safely: of several creators of a file the server lets more than one win`
    throw new Fault(storeFaults['store-unconditional'], message, { details: { store: description } })
  }

  /** Tries the server out, and removes what processes that died left behind. */
  async exclusion(signal: AbortSignal | undefined): Promise<Exclusion> {
    const connection = this.#connection
    const action = 'find out how objects are created'
    await connection.call(action, signal, async (send) => {
      for (const folder of [uploadFolder, claimFolder]) await this.#makeFolders(send, `${folder}/`, signal)
    })
    for (const folder of [uploadFolder, claimFolder]) await this.#removeAbandoned(folder, signal)
    const again = await connection.call(action, signal, (send) =>
      send({ method: 'MKCOL', path: `${connection.base}${claimFolder}`, signal }),
    )
    if (again.status !== 201) return 'folders'
    for (let race = 0; race < races; race += 1) {
      if (!(await this.#raceOnce(action, signal))) return 'none'
    }
    return 'moves'
  }

  /** Whether exactly one of several moves to the same name succeeds. */
  async #raceOnce(action: string, signal: AbortSignal | undefined): Promise<boolean> {
    const body = Buffer.from('race')
    const names = await Promise.all(Array.from({ length: racers }, () => this.#upload(action, body, 'none', signal)))
    const target = `${uploadFolder}/${randomUUID()}`
    const outcomes = await Promise.all(names.map((name) => this.#moveInRace(action, name, target, signal)))
    for (const name of [...names, target]) await this.#remove(name)
    return outcomes.filter((outcome) => outcome !== 'exists').length === 1 && outcomes.includes('created')
  }

  /** A mover that finds its own file gone, or no place for it, met another who was let through: then it is no race to trust. */
  async #moveInRace(
    action: string,
    from: string,
    to: string,
    signal: AbortSignal | undefined,
  ): Promise<Outcome | 'confused'> {
    try {
      return await this.#moveFreely(action, from, to, signal)
    } catch (error) {
      if (isFault(error, storeFaults['store-object-missing'])) return 'confused'
      throw error
    }
  }

  async #upload(
    action: string,
    body: Uint8Array,
    exclusion: Exclusion,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { chunkBytes } = this.#options
    let path = ''
    try {
      return await this.#connection.call(action, signal, async (send, attempt) => {
        if (path !== '') await this.#remove(path)
        path = `${uploadFolder}/${randomUUID()}`
        const doubtful = attempt > 1 || exclusion !== 'folders'
        try {
          await uploadFile(send, this.#connection, { path, body, chunkBytes, doubtful, signal })
        } catch (error) {
          // Somebody may have removed our folder.
          if (!isMissing(error) || attempt > 2) throw error
          this.#folders.clear()
          await this.#makeFolders(send, path, signal)
          throw new RequestFailure({ ...error.trouble, passing: true }, error)
        }
        return path
      })
    } catch (error) {
      await this.#remove(path)
      throw error
    }
  }

  async #moveClaimed(
    action: string,
    key: string,
    temporary: string,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    const { clock } = this.#options
    for (;;) {
      let claimedAt = clock.monotonic()
      const claims = await this.#claim(action, key, signal, () => (claimedAt = clock.monotonic()))
      if (claims === 'exists') return 'exists'
      const mayMove = (): boolean => clock.monotonic() - claimedAt < claimUsableMs
      try {
        const outcome = await this.#move(action, temporary, `/${key}`, signal, mayMove)
        if (outcome !== 'late') return outcome
      } finally {
        // The newest first: whoever takes an older one again must find ours gone, and the object there.
        for (const claim of claims.toReversed()) await this.#remove(claim)
      }
    }
  }

  /**
   * Claims a key, beside claims that nobody uses any more: those are passed over and not taken away, since two that did so at
   * once could both believe to have the key.
   */
  async #claim(
    action: string,
    key: string,
    signal: AbortSignal | undefined,
    onAttempt: () => void,
  ): Promise<readonly string[] | 'exists'> {
    const name = `${claimFolder}/${createHash('sha256').update(key).digest('hex').slice(0, 32)}`
    let generation = 0
    return await this.#connection.call(action, signal, async (send) => {
      for (;;) {
        const path = `${name}.${generation}`
        await this.#makeFolders(send, path, signal)
        onAttempt()
        const made = await send({ method: 'MKCOL', path: `${this.#connection.base}${path}`, signal })
        if (made.status === 201) return Array.from({ length: generation + 1 }, (_, index) => `${name}.${index}`)
        const found = await propfind(send, this.#connection, path, { depth: 0, signal })
        const claim = found?.entries[0]
        if (claim === undefined) {
          if (made.status !== 403 && made.status !== 405) throw await this.#parentTrouble(send, made, path, signal)
          continue
        }
        if (await this.#exists(send, `/${key}`, signal)) return 'exists'
        const age = (found?.serverNow ?? Date.now()) - (claim.changedAt ?? Number.POSITIVE_INFINITY)
        if (age <= claimStaleMs) {
          const reason = 'another process is about to create it'
          throw new RequestFailure({ kind: 'overloaded', reason, passing: true, uncertain: false }, undefined)
        }
        generation += 1
      }
    })
  }

  async #moveFreely(action: string, from: string, to: string, signal: AbortSignal | undefined): Promise<Outcome> {
    return (await this.#move(action, from, to, signal, () => true)) === 'created' ? 'created' : 'exists'
  }

  /** Moves an upload to its place if nothing is there, and if it still may when everything is ready. */
  async #move(
    action: string,
    from: string,
    to: string,
    signal: AbortSignal | undefined,
    mayMove: () => boolean,
  ): Promise<Outcome | 'late'> {
    const { base, origin } = this.#connection
    let uncertain = false
    return await this.#connection.call(action, signal, async (send, attempt) => {
      if (uncertain && !(await this.#exists(send, from, signal))) {
        // Only we move it: if it is gone, our first attempt was carried out.
        if (await this.#exists(send, to, signal)) return 'created'
      }
      await this.#makeFolders(send, to, signal)
      if (!mayMove()) return 'late'
      uncertain = true
      const headers = { destination: `${origin}${base}${to}`, overwrite: 'F' }
      const answer = await send({ method: 'MOVE', path: `${base}${from}`, headers, signal })
      if (answer.status === 201 || answer.status === 204) return 'created'
      if (answer.status === 412) return 'exists'
      // Servers say 403, 404, 409 or even 500 when the folder that it should go to has vanished.
      if (attempt < 3 && [403, 404, 409, 500].includes(answer.status)) {
        throw await this.#parentTrouble(send, answer, to, signal)
      }
      throw refuse(answer, Date.now())
    })
  }

  async #parentTrouble(
    send: Send,
    answer: Parameters<typeof refuse>[0],
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<RequestFailure> {
    const parent = parentOf(path)
    const there = (await propfind(send, this.#connection, parent, { depth: 0, signal })) !== undefined
    const failure = refuse(answer, Date.now())
    if (there) return failure
    this.#folders.clear()
    return new RequestFailure({ ...failure.trouble, passing: true }, undefined)
  }

  async #exists(send: Send, path: string, signal: AbortSignal | undefined): Promise<boolean> {
    const found = await propfind(send, this.#connection, path, { depth: 0, signal })
    return found?.entries[0] !== undefined && !found.entries[0].folder
  }

  /** Makes the folders that a file goes into, from the outside in. */
  async #makeFolders(send: Send, path: string, signal: AbortSignal | undefined): Promise<void> {
    const parts = parentOf(path).split('/').slice(1)
    const folders = parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)
    for (const folder of folders) {
      if (folder === '/' || this.#folders.has(folder)) continue
      await this.#makeFolder(send, folder, signal)
      this.#folders.add(folder)
    }
  }

  async #makeFolder(send: Send, folder: string, signal: AbortSignal | undefined): Promise<void> {
    // The slash at the end is what nginx wants to see.
    const answer = await send({ method: 'MKCOL', path: `${this.#connection.base}${folder}/`, signal })
    if (answer.status === 201 || answer.status === 405) return
    const there = await propfind(send, this.#connection, folder, { depth: 0, signal })
    if (there?.entries[0]?.folder === true) return
    if (answer.status === 409) {
      const reason = `the folder ${this.#connection.base || '/'} does not exist`
      throw new RequestFailure({ kind: 'place-missing', reason, passing: false, uncertain: false }, undefined)
    }
    throw refuse(answer, Date.now())
  }

  /** Removes something of our own; what cannot be removed now is removed a day later. */
  async #remove(path: string): Promise<void> {
    const { base, send } = this.#connection
    await send({ method: 'DELETE', path: `${base}${path}`, signal: undefined }).catch(() => undefined)
  }

  async #removeAbandoned(folder: string, signal: AbortSignal | undefined): Promise<void> {
    const found = await this.#connection.call('clean up', signal, (send) =>
      propfind(send, this.#connection, folder, { depth: 1, signal }),
    )
    const before = (found?.serverNow ?? Date.now()) - abandonedAfterMs
    for (const { name, changedAt } of found?.entries ?? []) {
      if (name !== '' && changedAt !== undefined && changedAt < before) await this.#remove(`${folder}/${name}`)
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function isMissing(error: unknown): error is RequestFailure {
  return error instanceof RequestFailure && (error.trouble.kind === 'missing' || /409/.test(error.trouble.reason))
}
