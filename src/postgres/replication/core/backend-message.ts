import type { RawMessage } from './message-parser.ts'
import { readBody } from './body-reader.ts'

/** The fields of an error or notice by their letter in the protocol: C is the SQLSTATE, M the message. */
export type ServerReport = Readonly<Record<string, string>>

/** What a server says on a replication connection after authentication. */
export type BackendMessage =
  | { readonly kind: 'row-description'; readonly columns: readonly string[] }
  | { readonly kind: 'data-row'; readonly values: readonly (Uint8Array | null)[] }
  | { readonly kind: 'command-complete'; readonly tag: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'error'; readonly report: ServerReport }
  | { readonly kind: 'notice'; readonly report: ServerReport }
  | { readonly kind: 'copy-in' }
  | { readonly kind: 'copy-out' }
  | { readonly kind: 'copy-both' }
  | { readonly kind: 'copy-data'; readonly data: Uint8Array }
  | { readonly kind: 'copy-done' }
  /** Reports that may come at any time and change nothing here: parameter status, notification. */
  | { readonly kind: 'aside' }

/** Decodes by the table of PostgreSQL 18 "Message Formats". Throws a RangeError on an unknown type or a short body. */
export function decodeBackendMessage(message: RawMessage): BackendMessage {
  switch (String.fromCharCode(message.type)) {
    case 'd':
      return { kind: 'copy-data', data: message.body }
    case 'T':
      return { kind: 'row-description', columns: decodeColumns(message.body) }
    case 'D':
      return { kind: 'data-row', values: decodeValues(message.body) }
    case 'C':
      return { kind: 'command-complete', tag: readBody(message.body).text() }
    case 'Z':
      return { kind: 'ready' }
    case 'E':
      return { kind: 'error', report: decodeReport(message.body) }
    case 'N':
      return { kind: 'notice', report: decodeReport(message.body) }
    case 'G':
      return { kind: 'copy-in' }
    case 'H':
      return { kind: 'copy-out' }
    case 'W':
      return { kind: 'copy-both' }
    case 'c':
      return { kind: 'copy-done' }
    case 'S':
    case 'A':
      return { kind: 'aside' }
    default:
      throw new RangeError(`a message has the unknown type 0x${message.type.toString(16)}`)
  }
}

const bytesAfterColumnName = 18

function decodeColumns(body: Uint8Array): string[] {
  const reader = readBody(body)
  return Array.from({ length: reader.int16() }, () => {
    const name = reader.text()
    reader.bytes(bytesAfterColumnName)
    return name
  })
}

function decodeValues(body: Uint8Array): (Uint8Array | null)[] {
  const reader = readBody(body)
  return Array.from({ length: reader.int16() }, () => {
    const length = reader.int32()
    return length === -1 ? null : reader.bytes(length)
  })
}

function decodeReport(body: Uint8Array): ServerReport {
  const reader = readBody(body)
  const report: Record<string, string> = {}
  for (let field = reader.byte(); field !== 0; field = reader.byte()) report[String.fromCharCode(field)] = reader.text()
  return report
}
