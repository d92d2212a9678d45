import { resolve } from 'node:path'
import type { z } from 'zod'
import { contains } from './node-section.ts'
import { retentionRules } from './retention-section.ts'
import { byteSize, setting } from './setting.ts'

/** What only a copy has: every entry of `repositories` but the first. */
export const copySettings = {
  bandwidth: setting(byteSize('10kB', '100GB').optional(), {
    about: 'Of a copy: how much is sent to it in a second, on average. WAL goes before everything else.',
    change: 'restart',
    example: '20MB',
  }),
  retention: retentionRules.optional(),
}

interface Repository {
  readonly name: string
  readonly type: string
  readonly path?: string | undefined
  readonly endpoint?: string | undefined
  readonly url?: string | undefined
  readonly bucket?: string | undefined
  readonly prefix?: string | undefined
  readonly passphraseFile?: string | undefined
  readonly privateKeyFile?: string | undefined
  readonly bandwidth?: unknown
  readonly retention?: unknown
}

/** The first needs a key, and is no copy; every copy needs a place of its own. */
export function checkCopies(repositories: readonly Repository[], context: z.core.$RefinementCtx): void {
  const [first, ...copies] = repositories
  if (first === undefined) return
  const issue = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message })
  if (first.passphraseFile === undefined && first.privateKeyFile === undefined) {
    issue([0], 'passphraseFile or privateKeyFile: without one of them nothing opens the repository')
  }
  for (const key of ['bandwidth', 'retention'] as const) {
    if (first[key] !== undefined)
      issue([0, key], `no ${key} here: the first repository is written to, the others are its copies`)
  }
  for (const [index, copy] of copies.entries()) {
    const other = repositories.slice(0, index + 1).find((before) => overlap(placeOf(before), placeOf(copy)))
    if (other !== undefined) issue([index + 1], `a place of its own, not that of ${other.name} or within it`)
  }
}

/** Copies are opened with the keys of the first where they name none: they are the same keys. */
export function withSharedKeys<Entry extends Repository>(repositories: readonly Entry[]): Entry[] {
  const [first] = repositories
  return repositories.map((entry) => {
    if (entry.passphraseFile !== undefined || entry.privateKeyFile !== undefined) return entry
    return { ...entry, passphraseFile: first?.passphraseFile, privateKeyFile: first?.privateKeyFile }
  })
}

/** As a path, so that one place within another is seen. */
function placeOf(repository: Repository): string {
  const { type, path = '', endpoint = '', url = '', bucket = '', prefix = '' } = repository
  switch (type) {
    case 'filesystem':
      return `/filesystem${resolve(path)}`
    case 's3':
      return `/s3/${encodeURIComponent(endpoint)}/${bucket}/${prefix}`.replace(/\/$/, '')
    case 'webdav':
      return `/webdav/${url.replace('://', '/')}`.replace(/\/+$/, '')
    default:
      return `/other/${repository.name}`
  }
}

function overlap(a: string, b: string): boolean {
  return contains(a, b) || contains(b, a)
}
