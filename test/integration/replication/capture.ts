import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { authenticate } from '../../../src/postgres/replication/authenticate.ts'
import {
  encodeCopyDone,
  encodeQuery,
  encodeStandbyStatus,
} from '../../../src/postgres/replication/core/frontend-message.ts'
import { createMessageParser, type RawMessage } from '../../../src/postgres/replication/core/message-parser.ts'
import type { Lsn } from '../../../src/wal/core/lsn.ts'
import type { TestServer } from '../../support/postgres.ts'

const none = 0n as Lsn

type Step = { readonly send: Uint8Array; readonly until: (message: RawMessage) => boolean }

const type = (letter: string) => (message: RawMessage) => message.type === letter.charCodeAt(0)
const query = (text: string): Step => ({ send: encodeQuery(text), until: type('Z') })

async function record(server: TestServer, steps: readonly Step[]): Promise<RawMessage[]> {
  const { socket } = await authenticate(server.replicationTarget, { timeoutMs: 5000 })
  const parser = createMessageParser({ maxMessageBytes: 1 << 24 })
  const recorded: RawMessage[] = []
  let arrived = Promise.withResolvers<void>()
  socket.on('data', (chunk: Buffer) => {
    recorded.push(...parser.push(chunk))
    arrived.resolve()
    arrived = Promise.withResolvers()
  })
  let seen = 0
  for (const step of steps) {
    socket.write(step.send)
    for (;;) {
      const found = recorded.findIndex((message, i) => i >= seen && step.until(message))
      if (found >= 0) {
        seen = found + 1
        break
      }
      await arrived.promise
    }
  }
  socket.destroy()
  return recorded
}

/** The messages as they came over the wire. */
function framed(messages: readonly RawMessage[]): Buffer {
  const pieces = messages.map(({ type: letter, body }) => {
    const header = Buffer.alloc(5)
    header[0] = letter
    header.writeInt32BE(body.length + 4, 1)
    return Buffer.concat([header, body])
  })
  return Buffer.concat(pieces)
}

/** Keeps the first messages of `base.tar` and everything from the manifest on. */
function thin(messages: readonly RawMessage[]): RawMessage[] {
  const starts = (letter: string) => (m: RawMessage) => type('d')(m) && m.body[0] === letter.charCodeAt(0)
  const base = messages.findIndex((m) => starts('n')(m) && Buffer.from(m.body).includes('base.tar'))
  const manifest = messages.findIndex(starts('m'))
  return [...messages.slice(0, base + 4), ...messages.slice(manifest)]
}

const status = encodeStandbyStatus({ write: none, flush: none, apply: none, replyRequested: true }, 0)

/** Simple commands, errors, and a short WAL stream. */
export async function captureConversation(server: TestServer): Promise<Buffer> {
  await using sql = await server.sql()
  await sql.query('select pg_switch_wal()')
  const [row] = await sql.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn')
  await sql.query('create table captured (i int)')
  const messages = await record(server, [
    query('IDENTIFY_SYSTEM'),
    query('SHOW wal_segment_size'),
    query('CREATE_REPLICATION_SLOT "kept" PHYSICAL (RESERVE_WAL true)'),
    query('READ_REPLICATION_SLOT "kept"'),
    query('READ_REPLICATION_SLOT "absent"'),
    query('TIMELINE_HISTORY 9'),
    query('NONSENSE'),
    {
      send: encodeQuery(`START_REPLICATION PHYSICAL ${row!.lsn} TIMELINE 1`),
      until: (m) => type('d')(m) && m.body[0] === 'w'.charCodeAt(0),
    },
    { send: status, until: (m) => type('d')(m) && m.body[0] === 'k'.charCodeAt(0) },
    { send: encodeCopyDone(), until: type('Z') },
    query('DROP_REPLICATION_SLOT "kept"'),
  ])
  return framed(messages)
}

/** A base backup with a tablespace; most messages of `base.tar` are left out to keep it small, the others are unchanged. */
export async function captureBaseBackup(server: TestServer): Promise<Buffer> {
  const location = join(server.directory, 'space')
  await mkdir(location)
  await using sql = await server.sql()
  await sql.query(`create tablespace space location '${location}'`)
  await sql.query('create table in_space tablespace space as select generate_series(1, 100) i')
  const command = `BASE_BACKUP (LABEL 'capture', CHECKPOINT 'fast', PROGRESS true, WAIT false, MANIFEST 'yes', VERIFY_CHECKSUMS true)`
  return framed(thin(await record(server, [query(command)])))
}
