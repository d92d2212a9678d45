import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { PackReference } from '../../repository/core/backup-facts.ts'
import type { Manifest, ManifestFile, PageFile } from '../../repository/core/manifest.ts'
import { findPage, unmappedPages } from '../../repository/core/page-map.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { assembleFile, shareFile } from './assemble-files.ts'
import { selectPages } from './select-pages.ts'
import { shareFiles } from './share-files.ts'
import { compareInWalk } from './walk-order.ts'
import { createPackNumbers } from './pack-numbers.ts'

/** The law of incremental backups: after any changes, the last backup alone gives exactly what there is. */
const pageBytes = 8192

type Change =
  | { readonly kind: 'write'; readonly file: number; readonly page: number }
  | { readonly kind: 'truncate'; readonly file: number; readonly pages: number }
  | { readonly kind: 'extend'; readonly file: number; readonly pages: number; readonly zero: boolean }
  | { readonly kind: 'drop'; readonly file: number }
  | { readonly kind: 'backup'; readonly settled: boolean }

const file = fc.nat(2)
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write'), file, page: fc.nat(70) }) },
  fc.record({ kind: fc.constant('truncate'), file, pages: fc.nat(60) }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('extend'), file, pages: fc.nat(40), zero: fc.boolean() }) },
  fc.record({ kind: fc.constant('drop'), file }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('backup'), settled: fc.boolean() }) },
)

/** A server's files, whose pages have LSNs and a content that is never the same twice. */
class Server {
  readonly files = new Map<string, { pages: Buffer[]; writes: number }>()
  lsn = 1
  #dropped = 0

  apply(step: Exclude<Change, { kind: 'backup' }>): void {
    // A file that is dropped and made anew has another name.
    const path = `base/5/${step.file + 1 + 10 * this.#dropped}`
    const found = this.files.get(path) ?? { pages: [], writes: 0 }
    this.files.set(path, found)
    found.writes += 1
    this.lsn += 1
    if (step.kind === 'drop') {
      this.files.delete(path)
      this.#dropped += 1
    } else if (step.kind === 'truncate') found.pages.length = Math.min(found.pages.length, step.pages)
    else if (step.kind === 'write' && step.page < found.pages.length) found.pages[step.page] = this.#page()
    else if (step.kind === 'extend') {
      for (let count = 0; count < step.pages; count++) {
        found.pages.push(step.zero ? Buffer.alloc(pageBytes) : this.#page())
      }
    }
  }

  #page(): Buffer {
    const page = Buffer.alloc(pageBytes)
    this.lsn += 1
    page.writeUInt32LE(this.lsn, 4)
    page.writeUInt16LE(8000, 14)
    return page
  }
}

function inWalk({ files }: Server): [string, { pages: Buffer[]; writes: number }][] {
  return [...files].toSorted(([a], [b]) => compareInWalk(a, b))
}

interface Taken {
  readonly manifest: Manifest
}

/** Packs by key: for each record, its pages. */
type Packs = Map<string, Buffer[][]>

function takeBackup(server: Server, parent: Taken | undefined, packs: Packs, number: number, settled: boolean): Taken {
  const startLsn = BigInt(server.lsn) as Lsn
  server.lsn += 1
  const key = `main/packs/2026010${Math.floor(number / 10)}T00000${number % 10}Z-00000000/000000`
  const own: Buffer[][] = []
  packs.set(key, own)
  const databases = { 5: '1' }
  const share =
    parent === undefined
      ? undefined
      : shareFiles({
          manifest: { ...parent.manifest, files: () => parent.manifest.files },
          sameIncarnation: true,
          databases,
        })
  const numbers = createPackNumbers()
  numbers.numberOf(key)
  const parentPack = (pack: number): number => numbers.numberOf(parent?.manifest.facts.packs[pack]?.key ?? '')
  const files = inWalk(server).map(([path, { pages, writes }]): ManifestFile => {
    const now = { path, kind: 'page', sizeBytes: pages.length * pageBytes, identity: `${path} ${writes}` } as const
    const sharing = share?.(now) ?? { kind: 'none' }
    if (sharing.kind === 'all') return shareFile(sharing.file, 0o600, parentPack)
    const bytes = Buffer.concat(pages)
    const wanted = sharing.kind === 'pages' ? selectPages(bytes, 0, sharing.earlier) : undefined
    const records = []
    const left = wanted ?? [...pages.keys()]
    for (let at = 0; at < left.length; at += 32) {
      const record = own.length
      const chosen = left.slice(at, at + 32)
      own.push(chosen.map((page) => pages[page] ?? assert.fail()))
      records.push({ pack: 0, record, ...(wanted === undefined ? {} : { pages: chosen }) })
    }
    const part = { offset: 0, wantedBytes: bytes.length, lengthBytes: bytes.length, records, hashes: new Uint8Array() }
    const parentMap = sharing.kind === 'pages' ? sharing.file.map : undefined
    const identity = settled ? now.identity : undefined
    const sizeBytes = bytes.length
    const found = {
      path,
      sizeBytes,
      kind: 'page',
      mode: 0o600,
      modifiedMs: 0,
      identity,
      parentMap,
      parts: [part],
    } as const
    return assembleFile(found, parentPack) ?? assert.fail()
  })
  const references = numbers.keys.map((each): PackReference => ({ key: each, sha256: '', sizeBytes: 1 }))
  const facts = { pageChecksums: true, pageBytes, startLsn, damagedPages: [], packs: references }
  return { manifest: { facts, origin: { incarnation: 'here', databases }, files } as unknown as Manifest }
}

function restore({ manifest }: Taken, packs: Packs): Map<string, Buffer> {
  const pageFiles = manifest.files.filter((each): each is PageFile => each.kind === 'pages')
  return new Map(
    pageFiles.map(({ path, sizeBytes, map }) => {
      assert.deepEqual(unmappedPages(map, sizeBytes / pageBytes), [])
      const pages = Array.from({ length: sizeBytes / pageBytes }, (_, page) => {
        const { pack, record, slot } = findPage(map, page) ?? assert.fail()
        return packs.get(manifest.facts.packs[pack]?.key ?? '')?.[record]?.[slot] ?? assert.fail()
      })
      return [path, Buffer.concat(pages)]
    }),
  )
}

test('any sequence of changes and backups: the last backup alone is what the server has', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (steps) => {
      const server = new Server()
      const packs: Packs = new Map()
      let last: Taken | undefined
      let number = 0
      for (const step of [...steps, { kind: 'backup', settled: true } as const]) {
        if (step.kind === 'backup') {
          last = takeBackup(server, last, packs, number, step.settled)
          number += 1
          const expected = new Map(inWalk(server).map(([path, { pages }]) => [path, Buffer.concat(pages)]))
          const restored = restore(last, packs)
          assert.deepEqual([...restored.keys()], [...expected.keys()])
          for (const [path, bytes] of expected) assert.ok(restored.get(path)?.equals(bytes), path)
        } else server.apply(step)
      }
    }),
    { numRuns: 200 },
  )
})
