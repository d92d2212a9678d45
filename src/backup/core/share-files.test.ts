import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Manifest, PageFile, WholeFile } from '../../repository/core/manifest.ts'
import type { EpochMs } from '../../std/clock.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { type FileNow, type Parent, shareFiles } from './share-files.ts'

const page = 8192
const backup = '20260101T000000Z-00000000'
const common = { mode: 0o600, modifiedAt: 0 as EpochMs, identity: 'untouched' }

function relation(path: string): PageFile {
  const map = [{ startPage: 0, count: 4, pack: 0, record: 0, slot: 0 }]
  return { kind: 'pages', path, sizeBytes: 4 * page, ...common, map }
}

function whole(path: string): WholeFile {
  return { kind: 'whole', path, sizeBytes: 4 * page, ...common, parts: [{ pack: 0, record: 0, count: 1 }] }
}

function parentWith(over: Partial<Parent> = {}, facts: Partial<Manifest['facts']> = {}): Parent {
  const files = [relation('base/5/1'), whole('base/5/1_vm'), relation('base/5/2_init'), relation('global/3')]
  const pack = { key: `main/packs/${backup}/000000`, sha256: '', sizeBytes: 1 }
  const manifest = {
    facts: { pageChecksums: true, pageBytes: page, startLsn: 9n as Lsn, damagedPages: [], packs: [pack], ...facts },
    origin: { incarnation: 'here', databases: { 5: '700' } },
    files: () => files,
  } as unknown as Parent['manifest']
  return { manifest, sameIncarnation: true, databases: { 5: '700' }, ...over }
}

function sharing(now: Partial<FileNow>, parent = parentWith()): string {
  return shareFiles(parent)({ path: 'base/5/1', kind: 'page', sizeBytes: 4 * page, identity: 'touched', ...now }).kind
}

const rows: readonly (readonly [string, Partial<FileNow>, Parent | undefined, string])[] = [
  ['a file that was written to shares pages', {}, undefined, 'pages'],
  ['one that grew as well', { sizeBytes: 9 * page }, undefined, 'pages'],
  ['one that shrank does not', { sizeBytes: 3 * page }, undefined, 'none'],
  ['one that is new does not', { path: 'base/5/77' }, undefined, 'none'],
  ['one that was stored as something else does not', { kind: 'whole' }, undefined, 'none'],
  ['an init fork does not', { path: 'base/5/2_init' }, undefined, 'none'],
  ['a visibility map does not', { path: 'base/5/1_vm', kind: 'whole' }, undefined, 'none'],
  ['unless it is untouched', { path: 'base/5/1_vm', kind: 'whole', identity: 'untouched' }, undefined, 'all'],
  ['an untouched file is not read', { identity: 'untouched' }, undefined, 'all'],
  ['but in another place', { identity: 'untouched' }, parentWith({ sameIncarnation: false }), 'pages'],
  ['and with another length', { identity: 'untouched', sizeBytes: 5 * page }, undefined, 'pages'],
  [
    'and where the parent has it damaged',
    { identity: 'untouched' },
    parentWith({}, { damagedPages: [{ path: 'base/5/1', page: 2 }] }),
    'pages',
  ],
  ['without checksums no page is shared', {}, parentWith({}, { pageChecksums: false }), 'none'],
  ['but untouched files are', { identity: 'untouched' }, parentWith({}, { pageChecksums: false }), 'all'],
  ['of a database made anew nothing is shared', {}, parentWith({ databases: { 5: '701' } }), 'none'],
  ['nor of one that is not known', {}, parentWith({ databases: {} }), 'none'],
  ['shared catalogs belong to no database', { path: 'global/3' }, parentWith({ databases: {} }), 'pages'],
]

for (const [what, now, parent, expected] of rows) test(what, () => assert.equal(sharing(now, parent), expected))

test('damaged pages of the parent are taken anew', () => {
  const parent = parentWith({}, { damagedPages: [{ path: 'base/5/1', page: 2 }] })
  const shared = shareFiles(parent)({ path: 'base/5/1', kind: 'page', sizeBytes: 4 * page, identity: 'touched' })
  assert.ok(shared.kind === 'pages')
  assert.deepEqual(shared.earlier, { sinceLsn: 9n, pageCount: 4, damaged: [2] })
})
