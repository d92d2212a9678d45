import type { KeyAccess, KeyRecipients } from './openpgp-keys.ts'
import { openPrivateKey, passphraseText, unusableRecipient } from './openpgp-keys.ts'

/** The key of one OpenPGP message. */
export interface SessionKey {
  readonly cipher: 'aes128' | 'aes192' | 'aes256'
  readonly data: Uint8Array
}

/**
 * The packets that begin an OpenPGP message and give its key to whoever has the passphrase or one of the private keys;
 * `gpg` of version 2.2 and later reads them.
 */
export async function wrapSessionKey(key: SessionKey, access: KeyRecipients): Promise<Uint8Array> {
  const openpgp = await import('openpgp')
  const encryptionKeys = await Promise.all(
    (access.recipients ?? []).map((armoredKey) => openpgp.readKey({ armoredKey }).catch(unusableRecipient)),
  )
  return await openpgp
    .encryptSessionKey({
      data: key.data,
      algorithm: key.cipher,
      ...(access.passphrase === undefined ? {} : { passwords: [passphraseText(access.passphrase)] }),
      encryptionKeys,
      format: 'binary',
      config: {
        // gpg 2.2 reads neither AEAD packets nor Argon2.
        aeadProtect: false,
        s2kType: openpgp.enums.s2k.iterated,
        s2kIterationCountByte: 255,
      },
    })
    .catch(unusableRecipient)
}

/**
 * The keys that such packets may hold for us: none when `access` does not open them, and some that do not fit the message
 * when a wrong passphrase cannot be told from the right one here.
 */
export async function unwrapSessionKey(packets: Uint8Array, access: KeyAccess): Promise<readonly SessionKey[]> {
  const openpgp = await import('openpgp')
  const decryptionKeys = access.privateKey === undefined ? [] : [await openPrivateKey(access.privateKey)]
  const message = await openpgp.readMessage({ binaryMessage: packets }).catch(() => undefined)
  if (message === undefined) return []
  const found = await openpgp
    .decryptSessionKeys({
      message,
      ...(access.passphrase === undefined ? {} : { passwords: [passphraseText(access.passphrase)] }),
      decryptionKeys,
    })
    .catch(() => [])
  return found.flatMap(({ algorithm, data }) =>
    algorithm === 'aes128' || algorithm === 'aes192' || algorithm === 'aes256' ? [{ cipher: algorithm, data }] : [],
  )
}
