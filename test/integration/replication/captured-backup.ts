import { decodeBackendMessage } from '../../../src/postgres/replication/core/backend-message.ts'
import { decodeBaseBackupMessage } from '../../../src/postgres/replication/core/base-backup-message.ts'
import { createMessageParser } from '../../../src/postgres/replication/core/message-parser.ts'
import { readCaptured } from './captured.ts'

/** Parts of a captured base backup that are whole. */
export function capturedBackup(major: number): {
  readonly tablespaceOid: string
  readonly tablespaceArchive: Uint8Array
  readonly manifest: Uint8Array
} {
  const messages = createMessageParser({ maxMessageBytes: 1 << 20 }).push(readCaptured('base-backup', major))
  const contents = new Map<string, Uint8Array[]>()
  let name = ''
  for (const message of messages.map(decodeBackendMessage)) {
    if (message.kind !== 'copy-data') continue
    const part = decodeBaseBackupMessage(message.data)
    if (part.kind === 'archive') name = part.name
    if (part.kind === 'manifest') name = 'manifest'
    if (part.kind === 'data') contents.set(name, [...(contents.get(name) ?? []), part.data])
  }
  const archive = [...contents.keys()].find((key) => /^\d+\.tar$/.test(key))!
  return {
    tablespaceOid: archive.replace('.tar', ''),
    tablespaceArchive: Buffer.concat(contents.get(archive)!),
    manifest: Buffer.concat(contents.get('manifest')!),
  }
}
