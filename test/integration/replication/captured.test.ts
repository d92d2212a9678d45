import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMessageParser } from '../../../src/postgres/replication/core/message-parser.ts'
import { createTestServer, testMajors } from '../../support/postgres.ts'
import { captureBaseBackup, captureConversation } from './capture.ts'
import { capturedMajors, readCaptured, writeCaptured } from './captured.ts'

/** The types of messages in their order; runs of the same type, whose length is chance, count once. */
function shape(bytes: Uint8Array): string {
  const messages = createMessageParser({ maxMessageBytes: 1 << 24 }).push(bytes)
  return String.fromCharCode(...messages.map((message) => message.type)).replaceAll(/(.)\1+/g, '$1')
}

for (const installation of await testMajors()) {
  const { major } = installation
  if (!capturedMajors.some((captured) => captured === major)) continue
  test(`PostgreSQL ${major} still speaks as in the captured fixtures`, async () => {
    await using server = await createTestServer({ installation })
    const conversation = await captureConversation(server)
    const backup = await captureBaseBackup(server)
    // `HOLDFAST_CAPTURE=1` replaces the fixtures, when a new minor release is to be covered.
    if (process.env['HOLDFAST_CAPTURE'] === '1') {
      writeCaptured('conversation', major, conversation)
      writeCaptured('base-backup', major, backup)
    }
    assert.equal(shape(conversation), shape(readCaptured('conversation', major)))
    assert.equal(shape(backup), shape(readCaptured('base-backup', major)))
  })
}
