import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { WrongKey, openMessage } from '../../../src/backup/dump/openpgp/open-message.ts'
import { sealMessage } from '../../../src/backup/dump/openpgp/seal-message.ts'
import { Malformed } from '../../../src/repository/core/malformed.ts'
import type { KeyAccess } from '../../../src/repository/openpgp-keys.ts'
import { Secret } from '../../../src/std/secret.ts'
import { createTestDirectory } from '../../support/postgres.ts'
import type { TestDirectory } from '../../support/postgres.ts'

const passphrase = new Secret('correct horse\n')
const text = Buffer.from('INSERT INTO t VALUES (1);\n'.repeat(60_000))
const noise = randomBytes(700_001)

let scratch: TestDirectory
before(async () => {
  scratch = await createTestDirectory()
  await mkdir(join(scratch.path, 'gnupg'), { mode: 0o700 })
  await writeFile(join(scratch.path, 'passphrase'), 'correct horse\n')
})
after(async () => {
  spawnSync('gpgconf', ['--homedir', join(scratch.path, 'gnupg'), '--kill', 'all'])
  await scratch[Symbol.asyncDispose]()
})

/** The real program, with the passphrase on its descriptor 0. */
function gpg(args: readonly string[], input?: Uint8Array): Buffer {
  const all = ['--homedir', join(scratch.path, 'gnupg'), '--batch', '--yes', '--quiet', '--pinentry-mode', 'loopback']
  const result = spawnSync('gpg', [...all, ...args], { input, maxBuffer: 64 << 20 })
  assert.equal(result.status, 0, result.stderr.toString())
  return result.stdout
}

const withPassphrase = (): readonly string[] => ['--passphrase-file', join(scratch.path, 'passphrase')]

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

const seal = (plain: Buffer, compress: boolean, chunkBytes = 65_536): Promise<Buffer> =>
  collect(sealMessage(chunks(plain, chunkBytes), { passphrase }, { compress }))

const open = (message: Uint8Array, access: KeyAccess = { passphrase }, chunkBytes = 65_536): Promise<Buffer> =>
  collect(openMessage(chunks(message, chunkBytes), access))

function chunks(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  function* cut(): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  return Readable.from(cut())
}

test('gpg opens what we seal, and so do we, whatever the sizes of chunks and content', async () => {
  for (const plain of [Buffer.alloc(0), Buffer.from('x'), noise.subarray(0, 262_144), noise, text]) {
    for (const compress of [false, true]) {
      const sealed = await seal(plain, compress, 10_007)
      const file = join(scratch.path, 'sealed.gpg')
      await writeFile(file, sealed)
      assert.ok(gpg([...withPassphrase(), '-d', file]).equals(plain))
      assert.ok((await open(sealed, undefined, 1_013)).equals(plain))
    }
  }
  assert.ok((await seal(text, true)).length < text.length / 10)
})

test('we open what gpg seals: its defaults, every cipher and compression of the field, pipes and files', async () => {
  const file = join(scratch.path, 'plain')
  await writeFile(file, text)
  const styles = [
    [],
    ['--cipher-algo', 'AES256'],
    ['--cipher-algo', 'AES128', '--compress-algo', 'zlib'],
    ['--cipher-algo', 'AES192', '--compress-algo', 'uncompressed'],
    ['--s2k-digest-algo', 'SHA512', '--s2k-mode', '3', '--s2k-count', '65011712', '-z', '9'],
  ]
  for (const style of styles) {
    const piped = gpg([...withPassphrase(), ...style, '-o', '-', '--symmetric'], text)
    assert.ok((await open(piped)).equals(text), style.join(' '))
    const named = gpg([...withPassphrase(), ...style, '-o', '-', '--symmetric', file])
    assert.ok((await open(named, undefined, 61)).equals(text), style.join(' '))
  }
  const inner = gzipSync(text)
  assert.ok((await open(gpg([...withPassphrase(), '-o', '-', '--symmetric'], inner))).equals(inner))
})

test('public keys: gpg and we open messages of each other, with the passphrase as well when there is one', async () => {
  for (const algorithm of ['default', 'future-default']) {
    const user = `${algorithm}@example.org`
    gpg([...withPassphrase(), '--quick-generate-key', user, algorithm, 'default', 'never'])
    const publicKey = gpg(['--armor', '--export', user]).toString()
    const privateKey = gpg([...withPassphrase(), '--armor', '--export-secret-keys', user]).toString()
    const file = join(scratch.path, 'sealed.gpg')
    const sealed = await collect(
      sealMessage(
        chunks(text, 65_536),
        { recipients: [publicKey], passphrase: new Secret('other') },
        { compress: true },
      ),
    )
    await writeFile(file, sealed)
    assert.ok(gpg([...withPassphrase(), '-d', file]).equals(text))
    const access: KeyAccess = { privateKey: { armored: new Secret(privateKey), passphrase } }
    assert.ok((await open(sealed, access)).equals(text))
    assert.ok((await open(sealed, { passphrase: new Secret('other') })).equals(text))
    const theirs = gpg(['--trust-model', 'always', '-o', '-', '-r', user, '--encrypt'], text)
    assert.ok((await open(theirs, access)).equals(text))
    await assert.rejects(open(theirs, { passphrase }), WrongKey)
  }
})

test('a wrong passphrase is told from damage, and every damage is found', async () => {
  await assert.rejects(open(await seal(text, true), { passphrase: new Secret('wrong') }), WrongKey)
  const theirs = gpg([...withPassphrase(), '-o', '-', '--symmetric'], text)
  await assert.rejects(open(theirs, { passphrase: new Secret('wrong') }), WrongKey)
  for (const sealed of [await seal(noise, false), await seal(text, true), theirs]) {
    for (const share of [0, 0.2, 0.5, 0.9, 0.999]) {
      await assert.rejects(open(sealed.subarray(0, Math.floor(sealed.length * share))), Malformed, `cut at ${share}`)
    }
    await assert.rejects(open(sealed.subarray(0, -1)), Malformed)
    await assert.rejects(open(Buffer.concat([sealed, Buffer.from('x')])), Malformed)
    for (const at of [200, Math.floor(sealed.length / 2), sealed.length - 1]) {
      const flipped = Buffer.from(sealed)
      flipped[at] = (flipped[at] ?? 0) ^ 4
      await assert.rejects(open(flipped), Malformed, `flipped at ${at}`)
    }
  }
  await assert.rejects(open(Buffer.from('-- PostgreSQL database dump\n')), Malformed)
})

test('what is not supported says so', async () => {
  const squeezed = gpg([...withPassphrase(), '-o', '-', '--compress-algo', 'bzip2', '--symmetric'], text)
  await assert.rejects(open(squeezed), { problem: 'unsupported' })
})

test('nothing is held in memory but parts', async () => {
  const file = join(scratch.path, 'large.gpg')
  const before = process.memoryUsage.rss()
  async function* plain(): AsyncGenerator<Uint8Array> {
    for (let megabyte = 0; megabyte < 300; megabyte += 1) yield Buffer.concat([noise, noise]).subarray(0, 1 << 20)
  }
  await writeFile(file, Readable.from(sealMessage(plain(), { passphrase }, { compress: false })))
  let sizeBytes = 0
  for await (const part of openMessage(createReadStream(file), { passphrase })) sizeBytes += part.length
  assert.equal(sizeBytes, 300 << 20)
  const grownBytes = process.memoryUsage.rss() - before
  assert.ok(grownBytes < 150 << 20, `${grownBytes} bytes more than before`)
  assert.ok((await readFile(file)).length > 300 << 20)
})
