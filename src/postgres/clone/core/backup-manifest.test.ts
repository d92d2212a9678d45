import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { capturedMajors } from '../../../../test/integration/replication/captured.ts'
import { crc32c } from '../../../wal/core/crc32c.ts'
import { compareWithManifest, parseManifest, splitManifest, type BackupManifest } from './backup-manifest.ts'
import { capturedBackup } from '../../../../test/integration/replication/captured-backup.ts'
import { createTarReader } from './tar-reader.ts'

for (const major of capturedMajors) {
  describe(`the manifest of PostgreSQL ${major}`, () => {
    const { manifest, tablespaceArchive, tablespaceOid } = capturedBackup(major)

    test('carries the checksum of its own bytes', () => {
      const { covered, sha256 } = splitManifest(manifest)
      assert.equal(createHash('sha256').update(covered).digest('hex'), sha256)
    })

    test('lists every file, and since 17 the system', () => {
      const parsed = parseManifest(manifest)
      assert.ok(parsed.files.length > 900)
      assert.ok(parsed.files.some(({ path }) => path === 'global/pg_control'))
      assert.equal(parsed.systemIdentifier !== undefined, major >= 17)
      if (parsed.systemIdentifier !== undefined) {
        assert.ok(new TextDecoder().decode(manifest).includes(`"System-Identifier": ${parsed.systemIdentifier},`))
      }
    })

    test('agrees with the files of the tablespace as they were sent', () => {
      const prefix = `pg_tblspc/${tablespaceOid}/`
      const files = parseManifest(manifest).files.filter(({ path }) => path.startsWith(prefix))
      const received = new Map<string, { sizeBytes: number; crc32c: number }>()
      let path = ''
      let pieces: Uint8Array[] = []
      for (const event of createTarReader().push(tablespaceArchive)) {
        if (event.kind === 'file') [path, pieces] = [`${prefix}${event.path}`, []]
        if (event.kind === 'data') pieces.push(event.data)
        if (event.kind !== 'file-end') continue
        const content = Buffer.concat(pieces)
        received.set(path, { sizeBytes: content.length, crc32c: crc32c(content) })
      }
      assert.deepEqual(compareWithManifest({ systemIdentifier: undefined, files }, received), [])
      const [first] = received.keys()
      received.set(first!, { ...received.get(first!)!, crc32c: 1 })
      assert.deepEqual(compareWithManifest({ systemIdentifier: undefined, files }, received), [
        `${first} has a wrong checksum`,
      ])
    })

    test('cut short it has no checksum', () => {
      assert.throws(() => splitManifest(manifest.subarray(0, manifest.length - 3)), RangeError)
      assert.throws(() => splitManifest(new Uint8Array(0)), RangeError)
    })
  })
}

test('every kind of difference is named', () => {
  const checksum = { algorithm: 'CRC32C', hex: '00000000' }
  const manifest: BackupManifest = {
    systemIdentifier: undefined,
    files: [
      { path: 'missing', sizeBytes: 1, checksum },
      { path: 'short', sizeBytes: 2, checksum },
      { path: 'unchecked', sizeBytes: 1, checksum: undefined },
      { path: 'right', sizeBytes: 0, checksum },
    ],
  }
  const received = new Map([
    ['short', { sizeBytes: 1, crc32c: 0 }],
    ['unchecked', { sizeBytes: 1, crc32c: 0 }],
    ['right', { sizeBytes: 0, crc32c: 0 }],
    ['stranger', { sizeBytes: 0, crc32c: 0 }],
  ])
  assert.deepEqual(compareWithManifest(manifest, received), [
    'missing is missing',
    'short has 1 bytes instead of 2',
    'unchecked is listed without a CRC32C',
    'stranger is not in the manifest',
  ])
})

test('a manifest that is none is refused', () => {
  for (const text of ['{}', '{"Files": [{}]}', '{"Files": [{"Size": 1, "Encoded-Path": "ff"}]}', 'no json']) {
    assert.throws(
      () => parseManifest(new TextEncoder().encode(text)),
      (error) => error instanceof RangeError || error instanceof SyntaxError,
    )
  }
})
