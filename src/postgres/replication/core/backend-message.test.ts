import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { capturedMajors, readCaptured } from '../../../../test/integration/replication/captured.ts'
import { decodeBackendMessage, type BackendMessage } from './backend-message.ts'
import { decodeBaseBackupMessage } from './base-backup-message.ts'
import { createMessageParser } from './message-parser.ts'
import { decodeStreamMessage } from './stream-message.ts'

function decodeAll(bytes: Uint8Array): BackendMessage[] {
  return createMessageParser({ maxMessageBytes: 1 << 20 })
    .push(bytes)
    .map(decodeBackendMessage)
}

const textOf = (value: Uint8Array | null | undefined): string | null =>
  value === null || value === undefined ? null : new TextDecoder().decode(value)

/** One line a message, as a person would note the conversation. */
function describeMessage(message: BackendMessage): string {
  if (message.kind === 'row-description') return `columns ${message.columns.join(' ')}`
  if (message.kind === 'data-row') return `row of ${message.values.length}`
  if (message.kind === 'command-complete') return message.tag
  if (message.kind === 'error') return `error ${message.report['C']}`
  if (message.kind === 'copy-data') return decodeStreamMessage(message.data).kind
  return message.kind
}

const conversation = `
columns systemid timeline xlogpos dbname
row of 4
IDENTIFY_SYSTEM
ready
columns wal_segment_size
row of 1
SHOW
ready
columns slot_name consistent_point snapshot_name output_plugin
row of 4
CREATE_REPLICATION_SLOT
ready
columns slot_type restart_lsn restart_tli
row of 3
READ_REPLICATION_SLOT
ready
columns slot_type restart_lsn restart_tli
row of 3
READ_REPLICATION_SLOT
ready
columns filename content
error 58P01
ready
error 0A000
ready
copy-both
wal
keepalive
copy-done
START_STREAMING
START_REPLICATION
ready
DROP_REPLICATION_SLOT
ready`

for (const major of capturedMajors) {
  describe(`decoding what PostgreSQL ${major} sent`, () => {
    test('commands, errors and a WAL stream', () => {
      const lines = decodeAll(readCaptured('conversation', major)).map(describeMessage)
      const compact = lines.filter((line, i) => line !== 'wal' || lines[i - 1] !== 'wal').join('\n')
      assert.equal(compact, conversation.trim())
    })

    test('the WAL is contiguous and holds the message that was written', () => {
      const wal = decodeAll(readCaptured('conversation', major))
        .flatMap((message) => (message.kind === 'copy-data' ? [decodeStreamMessage(message.data)] : []))
        .filter((message) => message.kind === 'wal')
      const pages = Buffer.concat(wal.map((message) => message.data))
      assert.ok(pages.includes('captured'))
      const last = wal.at(-1)!
      assert.equal(last.startLsn + BigInt(last.data.length), wal[0]!.startLsn + BigInt(pages.length))
      assert.ok(last.serverLsn >= last.startLsn)
      assert.ok(new Date(last.sentAtEpochMs).getFullYear() >= 2025)
    })

    test('a base backup', () => {
      const messages = decodeAll(readCaptured('base-backup', major))
      const parts = messages.flatMap((m) => (m.kind === 'copy-data' ? [decodeBaseBackupMessage(m.data)] : []))
      const archives = parts.filter((part) => part.kind === 'archive')
      assert.equal(archives.length, 2)
      assert.match(archives[0]!.name, /^\d+\.tar$/)
      assert.match(archives[0]!.tablespacePath, /\/space$/)
      assert.deepEqual(archives[1], { kind: 'archive', name: 'base.tar', tablespacePath: '' })
      assert.equal(parts.filter((part) => part.kind === 'manifest').length, 1)
      const rows = messages.filter((message) => message.kind === 'data-row')
      assert.equal(textOf(rows[0]!.values[1]), '1')
      assert.equal(textOf(rows[2]!.values[0]), null)
    })
  })
}

describe('what cannot be decoded is said to be so', () => {
  const message = (letter: string, ...body: number[]) => ({ type: letter.charCodeAt(0), body: Uint8Array.from(body) })
  for (const [name, raw] of [
    ['an unknown type', message('!')],
    ['a row that ends inside a value', message('D', 0, 1, 0, 0, 0, 9, 1)],
    ['a tag without its end', message('C', 65, 66)],
    ['an error without its end', message('E', 67, 65, 0)],
  ] as const) {
    test(name, () => assert.throws(() => decodeBackendMessage(raw), RangeError))
  }
  test('an unknown message inside a copy stream', () => {
    assert.throws(() => decodeStreamMessage(Uint8Array.of(1)), RangeError)
    assert.throws(() => decodeBaseBackupMessage(Uint8Array.of(1)), RangeError)
    assert.throws(() => decodeStreamMessage(new Uint8Array(0)), RangeError)
  })
})
