import type { Message, PrivateKey, PublicKey } from 'openpgp'
import { createSecretKey } from 'node:crypto'
import { Fault } from '../std/fault.ts'
import type { Secret } from '../std/secret.ts'
import { fieldsOf } from './core/json-fields.ts'
import { Malformed } from './core/malformed.ts'
import { repositoryFaults } from './faults.ts'
import type { DataKey } from './keyring.ts'
import { openPassphraseMessage } from './passphrase-message.ts'

/** What can open a key object: the repository's passphrase, or an OpenPGP private key it was encrypted to. */
export interface KeyAccess {
  readonly passphrase?: Secret | undefined
  readonly privateKey?: { readonly armored: Secret; readonly passphrase?: Secret | undefined } | undefined
}

/** For whom a key object is made. At least one of the two. */
export interface KeyRecipients {
  readonly passphrase?: Secret | undefined
  /** Armored OpenPGP public keys. */
  readonly recipients?: readonly string[] | undefined
}

/** A data key as the key objects hold it. */
export interface WrappedKey extends DataKey {
  readonly repositoryId: string
  /** ISO 8601; the newest key seals new objects. */
  readonly createdAt: string
}

/** Writes a data key as an armored OpenPGP message that `gpg -d` of version 2.2 and later opens. */
export async function wrapKey(key: WrappedKey, access: KeyRecipients): Promise<Uint8Array> {
  const openpgp = await import('openpgp')
  const plain = {
    keyId: key.id,
    key: key.key.export().toString('base64'),
    repositoryId: key.repositoryId,
    createdAt: key.createdAt,
  }
  const encryptionKeys = await Promise.all((access.recipients ?? []).map(readRecipient))
  const armored = await openpgp.encrypt({
    message: await openpgp.createMessage({ text: `${JSON.stringify(plain)}\n` }),
    ...(access.passphrase === undefined ? {} : { passwords: [passphraseText(access.passphrase)] }),
    encryptionKeys,
    format: 'armored',
    config: {
      // gpg 2.2 reads neither AEAD packets nor Argon2; our own reader in restore.mjs reads only this.
      aeadProtect: false,
      preferredSymmetricAlgorithm: openpgp.enums.symmetric.aes256,
      preferredCompressionAlgorithm: openpgp.enums.compression.uncompressed,
      s2kType: openpgp.enums.s2k.iterated,
      // 62 MiB hashed for every guess, the most that the format can say.
      s2kIterationCountByte: 255,
    },
  })
  return Buffer.from(armored)
}

/** For whom a key object is encrypted, as it says itself without being opened. */
export interface KeyProtection {
  /** How many passphrases open it. */
  readonly passphrases: number
  /** The key ids of the (sub)keys that open it, 16 upper-case hexadecimal digits. */
  readonly recipients: readonly string[]
}

/** What a key object says, with the data key in it where `access` opens it. Throws {@link Malformed} for damage. */
export async function openKeyMessage(
  object: Uint8Array,
  access: KeyAccess,
): Promise<{ readonly key: WrappedKey | undefined; readonly protection: KeyProtection }> {
  const quick = openQuickly(object, access)
  if (quick !== undefined) return quick
  const openpgp = await import('openpgp')
  const message = await openpgp
    .readMessage({ armoredMessage: Buffer.from(object).toString('utf8') })
    .catch((error: unknown) => {
      throw new Malformed('altered', `it is not an OpenPGP message: ${messageOf(error)}`)
    })
  const protection = {
    passphrases: message.packets.filterByTag(openpgp.enums.packet.symEncryptedSessionKey).length,
    recipients: message.getEncryptionKeyIDs().map((id) => id.toHex().toUpperCase()),
  }
  return { key: await unwrapKey(message, access), protection }
}

async function unwrapKey(message: Message<string>, access: KeyAccess): Promise<WrappedKey | undefined> {
  const openpgp = await import('openpgp')
  const decryptionKeys = access.privateKey === undefined ? [] : [await openPrivateKey(access.privateKey)]
  try {
    const { data } = await openpgp.decrypt({
      message,
      ...(access.passphrase === undefined ? {} : { passwords: [passphraseText(access.passphrase)] }),
      decryptionKeys,
    })
    return parseWrappedKey(data)
  } catch (error) {
    if (error instanceof Malformed) throw error
    return undefined
  }
}

/** With the passphrase and without the library, where that is possible. */
function openQuickly(
  object: Uint8Array,
  { passphrase }: KeyAccess,
): { readonly key: WrappedKey; readonly protection: KeyProtection } | undefined {
  if (passphrase === undefined) return undefined
  const opened = openPassphraseMessage(Buffer.from(object).toString('latin1'), passphraseText(passphrase))
  if (opened === undefined) return undefined
  const { plain, ...protection } = opened
  return { key: parseWrappedKey(Buffer.from(plain).toString('utf8')), protection }
}

/** An armored public key that can be encrypted to now: one that has expired or was revoked is refused. */
async function readRecipient(armoredKey: string): Promise<PublicKey> {
  const openpgp = await import('openpgp')
  const key = await openpgp.readKey({ armoredKey }).catch(unusableRecipient)
  if (key.isPrivate()) unusableRecipient(new Error('it is a private key, which belongs to its owner alone'))
  await key.getEncryptionKey().catch(unusableRecipient)
  return key
}

/** The key ids by which messages name a recipient: its key and its subkeys. Throws like encrypting to it. */
export async function recipientKeyIds(armoredKey: string): Promise<readonly string[]> {
  const key = await readRecipient(armoredKey)
  return key.getKeyIDs().map((id) => id.toHex().toUpperCase())
}

/** Passphrases come from files, and files end with a line break that is not part of them. */
export function passphraseText(passphrase: Secret): string {
  return passphrase.reveal().replace(/\r?\n$/, '')
}

export async function openPrivateKey({
  armored,
  passphrase,
}: NonNullable<KeyAccess['privateKey']>): Promise<PrivateKey> {
  const openpgp = await import('openpgp')
  try {
    const privateKey = await openpgp.readPrivateKey({ armoredKey: armored.reveal() })
    if (passphrase === undefined) return privateKey
    return await openpgp.decryptKey({ privateKey, passphrase: passphraseText(passphrase) })
  } catch (error) {
    throw new Fault(
      repositoryFaults['repository-wrong-key'],
      `Cannot use the OpenPGP private key: ${messageOf(error)}`,
      {
        hint: 'Check that the file holds an armored private key and that its passphrase is the right one.',
        cause: error,
      },
    )
  }
}

function parseWrappedKey(data: unknown): WrappedKey {
  const fields = fieldsOf(parseJson(data), 'key')
  const key = Buffer.from(fields.text('key'), 'base64')
  if (key.length !== 32) throw new Malformed('altered', 'the data key in it does not have 32 bytes')
  return {
    id: fields.text('keyId', /^[0-9a-f]{32}$/),
    key: createSecretKey(key),
    repositoryId: fields.text('repositoryId'),
    createdAt: fields.optionalText('createdAt') ?? '',
  }
}

function parseJson(data: unknown): unknown {
  try {
    return JSON.parse(String(data))
  } catch {
    throw new Malformed('altered', 'what is encrypted in it is not a data key')
  }
}

export function unusableRecipient(error: unknown): never {
  throw new Fault(
    repositoryFaults['repository-key-unprotected'],
    `Cannot encrypt to a recipient: ${messageOf(error)}`,
    { hint: 'Give armored OpenPGP public keys, as `gpg --armor --export` writes them.', cause: error },
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
