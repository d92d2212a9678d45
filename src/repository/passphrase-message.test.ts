import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as openpgp from 'openpgp'
import { openPassphraseMessage } from './passphrase-message.ts'

const text = '{"key":"äöü"}\n'

async function seal(
  over: Partial<openpgp.Config> = {},
  keys: { passwords?: string[]; encryptionKeys?: openpgp.PublicKey[] } = {},
): Promise<string> {
  const { aes256 } = openpgp.enums.symmetric
  const uncompressed = openpgp.enums.compression.uncompressed
  return String(
    await openpgp.encrypt({
      message: await openpgp.createMessage({ binary: Buffer.from(text) }),
      passwords: ['right'],
      ...keys,
      format: 'armored',
      config: {
        aeadProtect: false,
        preferredSymmetricAlgorithm: aes256,
        preferredCompressionAlgorithm: uncompressed,
        s2kType: openpgp.enums.s2k.iterated,
        s2kIterationCountByte: 96,
        ...over,
      },
    }),
  )
}

function opened(armored: string, passphrase = 'right'): string | undefined {
  const message = openPassphraseMessage(armored, passphrase)
  return message === undefined ? undefined : Buffer.from(message.plain).toString()
}

test('messages of the OpenPGP library open, with one passphrase of several', async () => {
  assert.equal(opened(await seal()), text)
  assert.equal(opened(await seal({}, { passwords: ['left', 'right'] })), text)
  assert.equal(opened(await seal({ showComment: true, showVersion: true })), text)
})

test('for whom it is encrypted is what the library says', async () => {
  const { publicKey } = await openpgp.generateKey({ userIDs: [{ name: 'operator' }] })
  const encryptionKeys = [await openpgp.readKey({ armoredKey: publicKey })]
  const armored = await seal({}, { passwords: ['left', 'right'], encryptionKeys })
  const message = await openpgp.readMessage({ armoredMessage: armored })
  const { passphrases, recipients } = openPassphraseMessage(armored, 'right') ?? assert.fail()
  assert.equal(passphrases, 2)
  assert.deepEqual(
    recipients,
    message.getEncryptionKeyIDs().map((id) => id.toHex().toUpperCase()),
  )
  assert.equal(recipients.length, 1)
})

test('a wrong passphrase opens nothing', async () => {
  assert.equal(opened(await seal(), 'wrong'), undefined)
})

test('other kinds of messages are left to the library', async () => {
  assert.equal(opened(await seal({ aeadProtect: true })), undefined)
  assert.equal(opened('no message at all'), undefined)
})

test('no altered byte and no cut gives another content', async () => {
  const armored = await seal()
  const body = /\n\n([^=]*)/.exec(armored)?.[1] ?? assert.fail()
  const message = Buffer.from(body, 'base64')
  const armor = (bytes: Uint8Array): string =>
    `-----BEGIN PGP MESSAGE-----\n\n${Buffer.from(bytes).toString('base64')}\n-----END PGP MESSAGE-----\n`
  assert.equal(opened(armor(message)), text)
  for (const at of message.keys()) {
    const altered = Buffer.from(message)
    altered.writeUInt8(altered.readUInt8(at) ^ 0x20, at)
    assert.ok([undefined, text].includes(opened(armor(altered))), `byte ${at}`)
    assert.equal(opened(armor(message.subarray(0, at))), undefined, `cut at ${at}`)
  }
})
