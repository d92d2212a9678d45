import { readBody } from './body-reader.ts'

/** What a server sends inside the copy stream of BASE_BACKUP since PostgreSQL 15. */
export type BaseBackupMessage =
  | { readonly kind: 'archive'; readonly name: string; readonly tablespacePath: string }
  | { readonly kind: 'manifest' }
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'progress'; readonly bytes: number }

/** Decodes by PostgreSQL 18 "Streaming Replication Protocol", BASE_BACKUP. */
export function decodeBaseBackupMessage(data: Uint8Array): BaseBackupMessage {
  const reader = readBody(data)
  const type = String.fromCharCode(reader.byte())
  switch (type) {
    case 'd':
      return { kind: 'data', data: reader.rest() }
    case 'n':
      return { kind: 'archive', name: reader.text(), tablespacePath: reader.text() }
    case 'm':
      return { kind: 'manifest' }
    case 'p':
      return { kind: 'progress', bytes: Number(reader.int64()) }
    default:
      throw new RangeError(`the backup stream holds a message of the unknown type '${type}'`)
  }
}
