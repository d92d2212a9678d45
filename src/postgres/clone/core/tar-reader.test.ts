import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { capturedMajors, cutAt } from '../../../../test/integration/replication/captured.ts'
import { capturedBackup } from '../../../../test/integration/replication/captured-backup.ts'
import { createTarReader, type TarEvent } from './tar-reader.ts'

function read(chunks: readonly Uint8Array[]): { events: TarEvent[]; content: Uint8Array } {
  const reader = createTarReader()
  const all = chunks.flatMap((chunk) => reader.push(chunk))
  reader.finish()
  const data = all.filter((event) => event.kind === 'data').map((event) => event.data)
  return { events: all.filter((event) => event.kind !== 'data'), content: Buffer.concat(data) }
}

for (const major of capturedMajors) {
  describe(`the archive of a tablespace from PostgreSQL ${major}`, () => {
    const { tablespaceArchive } = capturedBackup(major)

    test('holds the version directory, the database directory and the files of the table', () => {
      const { events, content } = read([tablespaceArchive])
      const directories = events.filter((event) => event.kind === 'directory').map((event) => event.path)
      assert.equal(directories.length, 2)
      assert.match(directories[0]!, new RegExp(`^PG_${major}_\\d+$`))
      const files = events.filter((event) => event.kind === 'file')
      assert.ok(files.length >= 1 && files.every(({ path }) => path.startsWith(`${directories[1]}/`)))
      assert.equal(
        files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        content.length,
      )
      assert.equal(events.filter((event) => event.kind === 'file-end').length, files.length)
    })

    test('is read the same however its bytes are cut', () => {
      const whole = read([tablespaceArchive])
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 40 }), (places) => {
          assert.deepEqual(read(cutAt(tablespaceArchive, places)), whole)
        }),
        { numRuns: 60 },
      )
    })

    test('cut off anywhere, it is not taken for whole', () => {
      // The archive ends with two empty blocks, of which the first says it all.
      for (let end = 0; end <= tablespaceArchive.length - 1024; end += 97) {
        assert.throws(() => read([tablespaceArchive.subarray(0, end)]), RangeError)
      }
    })
  })
}

interface Entry {
  readonly name: string
  readonly type?: string
  readonly target?: string
  readonly size?: string | Uint8Array
}

/** A header made by hand, for what a server would not send. */
function header({ name, type = '0', target = '', size = '0' }: Entry): Uint8Array {
  const block = Buffer.alloc(512)
  block.write(name, 0, 'latin1')
  if (typeof size === 'string') block.write(size, 124)
  else block.set(size, 124)
  block.write(type, 156)
  block.write(target, 157)
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

describe('headers made by hand', () => {
  const first = (entry: Entry): TarEvent | undefined => createTarReader().push(header(entry))[0]

  test('a size beyond eight gigabytes comes in base 256', () => {
    const size = Buffer.alloc(12)
    size[0] = 0x80
    size.writeBigUInt64BE(20n * 1024n ** 3n, 4)
    assert.deepEqual(first({ name: 'big', size }), { kind: 'file', path: 'big', sizeBytes: 20 * 1024 ** 3 })
  })

  test('links and directories lose what is redundant in their paths', () => {
    assert.deepEqual(first({ name: './base/1/', type: '5' }), { kind: 'directory', path: 'base/1' })
    assert.deepEqual(first({ name: 'pg_tblspc/7', type: '2', target: '/data' }), {
      kind: 'link',
      path: 'pg_tblspc/7',
      target: '/data',
    })
  })

  for (const [name, entry] of [
    ['a path that climbs out', { name: 'base/../../etc/passwd' }],
    ['an absolute path', { name: '/etc/passwd' }],
    ['a type the server never sends', { name: 'device', type: '3' }],
    ['a size that is no number', { name: 'x', size: 'what' }],
    ['a name that is not UTF-8', { name: '\xff' }],
  ] as const) {
    test(`${name} is refused`, () => assert.throws(() => first(entry), RangeError))
  }

  test('a flipped bit is found by the checksum', () => {
    const block = header({ name: 'x' })
    block[3]! ^= 1
    assert.throws(() => createTarReader().push(block), RangeError)
  })
})
