#!/usr/bin/env node
// @ts-check
/* oxlint-disable max-lines -- it has to be one file that works alone, years from now, without anything beside it */
/**
 * Restores a PostgreSQL backup from the repository this file lies in, with nothing but Node.js 22.15 or newer: no
 * Holdfast, no packages, no network. RESTORE.md beside it says how to use it; the format is described in Holdfast's
 * docs/design/repository-format.md. It reads the repository and writes only where --target, --wal-to and --tablespace
 * say. It stops at the first object that is missing or damaged.
 */
import { spawnSync } from 'node:child_process'
import { createDecipheriv, createHash, createSecretKey, hkdfSync } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as zlib from 'node:zlib'

const usage = `Usage:
  node restore.mjs --list [--cluster NAME]
  node restore.mjs --backup ID|latest --target DIR [--cluster NAME] [--passphrase-file FILE | --gpg]
                   [--wal-to DIR] [--tablespace OID=DIR]...

  --list              show the backups in this repository (needs no passphrase)
  --backup            the backup to restore: an id from the list, or latest
  --target            where the data directory goes; must be empty or not exist
  --wal-to            where the write-ahead log goes (default: TARGET-wal); must be empty or not exist
  --passphrase-file   file with the passphrase of the repository (default: read from standard input)
  --gpg               let the program gpg open the data key: for private keys, or if you prefer
  --tablespace        where a tablespace goes; needed for each one that the backup has
  --cluster           which cluster, where the repository has several
  --repository        where the repository is (default: beside this file)`

class Refused extends Error {}

function main() {
  const { values: options } = parseArgs({
    options: {
      list: { type: 'boolean' },
      backup: { type: 'string' },
      target: { type: 'string' },
      'wal-to': { type: 'string' },
      'passphrase-file': { type: 'string' },
      gpg: { type: 'boolean' },
      tablespace: { type: 'string', multiple: true },
      cluster: { type: 'string' },
      repository: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  const root = resolve(options.repository ?? dirname(fileURLToPath(import.meta.url)))
  if (options.list === true) return list(root, options.cluster)
  if (options.backup === undefined || options.target === undefined || options.help === true) {
    process.stdout.write(`${usage}\n`)
    process.exitCode = options.help === true ? 0 : 2
    return
  }
  if (zlib.zstdDecompressSync === undefined)
    throw new Refused(`Node.js ${process.version} has no zstd: use 22.15 or newer`)
  const description = readCheckedJson(root, 'repository.json')
  const commit = chooseBackup(root, options.cluster, options.backup)
  const target = resolve(options.target)
  const walDirectory = resolve(options['wal-to'] ?? `${target}-wal`)
  const keys =
    options.gpg === true ? keysByGpg(root) : keysByPassphrase(root, readPassphrase(options['passphrase-file']))
  const repository = {
    root,
    id: description.repositoryId,
    keys: keys.filter((key) => key.repositoryId === description.repositoryId),
  }
  if (repository.keys.length === 0) throw new Refused('Cannot open the data key: wrong passphrase or key')
  const manifest = readManifest(repository, commit)
  const tablespaces = placeTablespaces(manifest.head.tablespaces, options.tablespace ?? [])
  for (const directory of [target, walDirectory, ...tablespaces.map(({ place }) => place)])
    makeEmptyDirectory(directory)
  say(`Restoring backup ${commit.facts.backup} of cluster ${commit.facts.cluster} into ${target}`)
  const wal = extractWal(repository, commit.facts, walDirectory)
  layOut(repository, manifest, target, tablespaces)
  explain(commit.facts, target, walDirectory, wal)
}

// ---- the catalogue --------------------------------------------------------------------------------------------------

/** @param {string} root @param {string | undefined} cluster */
function list(root, cluster) {
  readCheckedJson(root, 'repository.json')
  for (const name of clusters(root, cluster)) {
    for (const backup of committed(root, name)) say(`${name}  ${backup}  ${summary(root, name, backup)}`)
  }
}

/** A damaged commit is said to be one; the others are worth knowing all the more. @param {string} root @param {string} cluster @param {string} backup */
function summary(root, cluster, backup) {
  try {
    const { facts } = readCommit(root, cluster, backup)
    const size = `${(facts.dataBytes / 1e6).toFixed(1)} MB`
    return `ended ${facts.stoppedAt}  PostgreSQL ${facts.postgresVersion}  timeline ${facts.timeline}  ${facts.stopLsn}  ${size}`
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    process.exitCode = 1
    return error.message
  }
}

/** @param {string} root @param {string | undefined} only */
function clusters(root, only) {
  const names = fs
    .readdirSync(root)
    .filter((name) => fs.existsSync(join(root, name, 'backups')))
    .sort()
  const found = only === undefined ? names : names.filter((name) => name === only)
  if (found.length === 0)
    throw new Refused(`Cannot find ${only === undefined ? 'a cluster with backups' : `cluster ${only}`} in ${root}`)
  return found
}

/** @param {string} root @param {string} cluster */
function committed(root, cluster) {
  const backups = join(root, cluster, 'backups')
  return fs
    .readdirSync(backups)
    .filter((name) => fs.existsSync(join(backups, name, 'commit.json')) && !isCollected(root, cluster, name))
    .sort()
}

/** A backup that was never completed and has been removed: its commit only says so. @param {string} root @param {string} cluster @param {string} backup */
function isCollected(root, cluster, backup) {
  try {
    return readCheckedJson(root, `${cluster}/backups/${backup}/commit.json`).collected === true
  } catch {
    return false
  }
}

/** @param {string} root @param {string | undefined} cluster @param {string} wanted */
function chooseBackup(root, cluster, wanted) {
  const [name = '', ...more] = clusters(root, cluster)
  if (more.length > 0) throw new Refused(`Choose one of the clusters with --cluster: ${[name, ...more].join(', ')}`)
  const backups = committed(root, name)
  const backup = wanted === 'latest' ? backups.at(-1) : backups.find((id) => id === wanted)
  if (backup === undefined) throw new Refused(`Cannot find backup ${wanted} of cluster ${name}: see --list`)
  return readCommit(root, name, backup)
}

/** @param {string} root @param {string} cluster @param {string} backup */
function readCommit(root, cluster, backup) {
  const key = `${cluster}/backups/${backup}/commit.json`
  const commit = readCheckedJson(root, key)
  if (commit.facts.cluster !== cluster || commit.facts.backup !== backup)
    throw damaged(key, 'it is the commit of another backup')
  return commit
}

/** JSON whose last field is the SHA-256 of the rest. @param {string} root @param {string} key */
function readCheckedJson(root, key) {
  const text = readObject(root, key).toString('utf8')
  let parsed
  try {
    parsed = JSON.parse(text)
  } catch {
    throw damaged(key, 'it is not JSON')
  }
  const { sha256, ...value } = parsed
  if (createHash('sha256').update(JSON.stringify(value)).digest('hex') !== sha256)
    throw damaged(key, 'its content does not fit its hash')
  if (value.format !== 1) throw new Refused(`Cannot read ${key}: format ${value.format} is unknown to this program`)
  return value
}

/** @param {string} root @param {string} key */
function readObject(root, key) {
  const path = join(root, key)
  if (!fs.existsSync(path)) throw damaged(key, 'it is missing')
  return fs.readFileSync(path)
}

/** @param {string} key @param {string} why */
function damaged(key, why) {
  return new Refused(`Cannot use object ${key}: ${why}`)
}

// ---- the data key: OpenPGP messages (RFC 9580: version 4 SKESK, version 1 SEIPD) -------------------------------------

/** @param {string | undefined} file */
function readPassphrase(file) {
  const text = file === undefined && process.stdin.isTTY ? askPassphrase() : fs.readFileSync(file ?? 0, 'utf8')
  return text.replace(/\r?\n$/, '')
}

function askPassphrase() {
  process.stderr.write('Passphrase of the repository: ')
  const hidden = spawnSync('stty', ['-echo'], { stdio: 'inherit' }).status === 0
  const bytes = []
  for (const byte = Buffer.alloc(1); fs.readSync(0, byte) === 1 && byte[0] !== 10;) bytes.push(byte.readUInt8())
  if (hidden) spawnSync('stty', ['echo'], { stdio: 'inherit' })
  process.stderr.write('\n')
  return Buffer.from(bytes).toString('utf8')
}

/** @param {string} root */
function keyFiles(root) {
  return fs.readdirSync(join(root, 'keys')).map((name) => join(root, 'keys', name))
}

/** @param {string} text */
function parseKey(text) {
  const { keyId, key, repositoryId } = JSON.parse(text)
  return { id: keyId, repositoryId, key: createSecretKey(Buffer.from(key, 'base64')) }
}

/** @param {string} root */
function keysByGpg(root) {
  return keyFiles(root).flatMap((path) => {
    const run = spawnSync('gpg', ['--quiet', '--decrypt', path], { stdio: ['inherit', 'pipe', 'inherit'] })
    if (run.error !== undefined) throw new Refused(`Cannot run gpg: ${run.error.message}`)
    return run.status === 0 ? [parseKey(run.stdout.toString('utf8'))] : []
  })
}

/** @param {string} root @param {string} passphrase */
function keysByPassphrase(root, passphrase) {
  return keyFiles(root).flatMap((path) => {
    try {
      const plain = decryptOpenPgp(dearmor(fs.readFileSync(path, 'latin1')), Buffer.from(passphrase))
      return plain === undefined ? [] : [parseKey(Buffer.from(plain).toString('utf8'))]
    } catch (error) {
      // One that is damaged, or no key, must not keep the others from being tried.
      process.stderr.write(`Passing over ${path}: ${error instanceof Error ? error.message : String(error)}\n`)
      return []
    }
  })
}

/** @param {string} text */
function dearmor(text) {
  const [, body = ''] =
    /-----BEGIN PGP MESSAGE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n([^-]*?)(?:=[A-Za-z0-9+/]{4}\s*)?-----END/.exec(text) ?? []
  return Buffer.from(body, 'base64')
}

/** The literal data of a message, or undefined when the passphrase does not open it. @param {Buffer} message @param {Buffer} passphrase */
function decryptOpenPgp(message, passphrase) {
  const packets = [...openPgpPackets(message)]
  const sealed = packets.find(({ tag }) => tag === 18)?.body
  if (sealed?.[0] !== 1) return undefined
  for (const { tag, body } of packets) {
    const session = tag === 3 ? sessionKey(body, passphrase) : undefined
    const plain = session === undefined ? undefined : openSealed(sealed.subarray(1), session)
    if (plain !== undefined) return literalData(plain)
  }
  return undefined
}

/** @param {Uint8Array} message */
function* openPgpPackets(message) {
  const bytes = Buffer.from(message)
  let at = 0
  /** @param {number} size */
  const take = (size) => bytes.subarray(at, (at += size))
  while (at < bytes.length) {
    const head = take(1).readUInt8()
    if ((head & 0x40) === 0) {
      const width = [1, 2, 4, 0][head & 3] ?? 0
      yield { tag: (head >> 2) & 15, body: take(width === 0 ? bytes.length - at : take(width).readUIntBE(0, width)) }
      continue
    }
    const pieces = []
    for (let partial = true; partial;) {
      const first = take(1).readUInt8()
      partial = first >= 224 && first < 255
      if (partial) pieces.push(take(2 ** (first & 31)))
      else if (first < 192) pieces.push(take(first))
      else if (first === 255) pieces.push(take(take(4).readUInt32BE()))
      else pieces.push(take(((first - 192) << 8) + take(1).readUInt8() + 192))
    }
    yield { tag: head & 63, body: Buffer.concat(pieces) }
  }
}

const openPgpCiphers = new Map([
  [7, { name: 'aes-128-cfb', keyBytes: 16 }],
  [8, { name: 'aes-192-cfb', keyBytes: 24 }],
  [9, { name: 'aes-256-cfb', keyBytes: 32 }],
])
const openPgpHashes = new Map([
  [2, 'sha1'],
  [8, 'sha256'],
  [9, 'sha384'],
  [10, 'sha512'],
])

/** @param {Buffer} body a symmetric-key encrypted session key packet @param {Buffer} passphrase */
function sessionKey(body, passphrase) {
  const cipher = openPgpCiphers.get(body[1] ?? 0)
  const hash = openPgpHashes.get(body[3] ?? 0)
  if (body[0] !== 4 || body[2] !== 3 || cipher === undefined || hash === undefined) return undefined
  const coded = body.readUInt8(12)
  const key = stretch(
    hash,
    Buffer.concat([body.subarray(4, 12), passphrase]),
    (16 + (coded & 15)) * 2 ** ((coded >> 4) + 6),
    cipher.keyBytes,
  )
  if (body.length === 13) return { cipher, key }
  const opened = createDecipheriv(cipher.name, key, Buffer.alloc(16)).update(body.subarray(13))
  const inner = openPgpCiphers.get(opened[0] ?? 0)
  return inner?.keyBytes === opened.length - 1 ? { cipher: inner, key: opened.subarray(1) } : undefined
}

/** Iterated and salted string-to-key. @param {string} hash @param {Buffer} unit @param {number} count @param {number} keyBytes */
function stretch(hash, unit, count, keyBytes) {
  const total = Math.max(count, unit.length)
  const block = Buffer.concat(Array.from({ length: Math.ceil(65_536 / unit.length) }, () => unit))
  const parts = []
  for (let size = 0, zeros = 0; size < keyBytes; zeros += 1) {
    const hashing = createHash(hash).update(Buffer.alloc(zeros))
    for (let done = 0; done < total; done += block.length)
      hashing.update(block.subarray(0, Math.min(block.length, total - done)))
    const part = hashing.digest()
    parts.push(part)
    size += part.length
  }
  return Buffer.concat(parts).subarray(0, keyBytes)
}

/** @param {Buffer} sealed @param {{ cipher: { name: string }, key: Buffer }} session */
function openSealed(sealed, { cipher, key }) {
  const plain = createDecipheriv(cipher.name, key, Buffer.alloc(16)).update(sealed)
  if (plain.length < 40 || !plain.subarray(14, 16).equals(plain.subarray(16, 18))) return undefined
  const digest = createHash('sha1').update(plain.subarray(0, -20)).digest()
  return digest.equals(plain.subarray(-20)) ? plain.subarray(18, -22) : undefined
}

/** @param {Uint8Array} plain @returns {Uint8Array | undefined} */
function literalData(plain) {
  for (const { tag, body } of openPgpPackets(plain)) {
    if (tag === 11) return body.subarray(6 + body.readUInt8(1))
    if (tag === 8 && body[0] === 1) return literalData(zlib.inflateRawSync(body.subarray(1)))
    if (tag === 8 && body[0] === 2) return literalData(zlib.inflateSync(body.subarray(1)))
  }
  return undefined
}

// ---- packs ----------------------------------------------------------------------------------------------------------

/** @typedef {{ root: string, id: string, keys: { id: string, key: import('node:crypto').KeyObject }[] }} Repository */

/**
 * Verifies a pack and gives a reader of its records.
 * @param {Repository} repository @param {string} key @param {{ sha256: string }} [expected]
 */
function openPack(repository, key, expected) {
  const bytes = readObject(repository.root, key)
  const end = bytes.length - 56
  if (end < 80 || bytes.toString('latin1', bytes.length - 8) !== 'KCAPDLOH') throw damaged(key, 'it is truncated')
  const hash = createHash('sha256').update(bytes.subarray(0, end + 16))
  if (
    !hash
      .copy()
      .digest()
      .equals(bytes.subarray(end + 16, end + 48))
  )
    throw damaged(key, 'its bytes are not the ones that were written')
  if (expected !== undefined && hash.update(bytes.subarray(end + 16)).digest('hex') !== expected.sha256) {
    throw damaged(key, 'it is not the object that the backup was committed with')
  }
  if (bytes.toString('latin1', 0, 8) !== 'HOLDPACK' || bytes.readUInt32LE(8) !== 0x10001)
    throw damaged(key, 'its version is unknown to this program')
  const keyId = bytes.toString('hex', 16, 32)
  const dataKey = repository.keys.find(({ id }) => id === keyId)?.key
  if (dataKey === undefined) throw damaged(key, `the data key ${keyId} is not at hand`)
  const identity = Buffer.from(`holdfast pack\n${repository.id}\n${key}\n`)
  const subkey = createSecretKey(Buffer.from(hkdfSync('sha256', dataKey, bytes.subarray(32, 64), identity, 32)))
  /** @param {number} number @param {number} type @param {number} offset @param {number} size */
  const unseal = (number, type, offset, size) => {
    const place = Buffer.alloc(12)
    place.writeUInt32LE(number)
    const opening = createDecipheriv('aes-256-gcm', subkey, place, { authTagLength: 16 })
    opening.setAAD(Buffer.concat([identity, place.subarray(0, 4), Buffer.from([type])]))
    opening.setAuthTag(bytes.subarray(offset + size - 16, offset + size))
    try {
      return Buffer.concat([opening.update(bytes.subarray(offset, offset + size - 16)), opening.final()])
    } catch {
      throw damaged(key, 'it does not open: it belongs elsewhere or was altered')
    }
  }
  const records = [...indexEntries(unseal(0xffff_ffff, 0, bytes.readUInt32LE(end), bytes.readUInt32LE(end + 4)))]
  /** @param {number} number */
  const read = (number) => {
    if (latest.number !== number) latest = { number, plain: readRecord(number) }
    return latest.plain
  }
  /** Runs that are near each other are often in one record. */
  let latest = { number: -1, plain: Buffer.alloc(0) }
  /** @param {number} number */
  const readRecord = (number) => {
    const record = records[number]
    if (record === undefined) throw damaged(key, `it has no record ${number}`)
    const body = unseal(number, record.type, record.offset, record.storedBytes)
    const plain =
      record.codec === 1 ? zlib.zstdDecompressSync(body, { maxOutputLength: Math.max(1, record.rawBytes) }) : body
    if (plain.length !== record.rawBytes) throw damaged(key, `record ${number} has the wrong length`)
    return plain
  }
  /** Where the record of a file begins in it. @param {number} number */
  const fileOffset = (number) => Number(records[number]?.meta.readBigUInt64LE(0))
  return { read, fileOffset, readAll: () => Buffer.concat(records.map((_, number) => read(number))) }
}

/** @param {Buffer} index */
function* indexEntries(index) {
  for (let at = 0; at < index.length; at += 16 + index.readUInt16LE(at + 2)) {
    yield {
      type: index.readUInt8(at),
      codec: index.readUInt8(at + 1),
      offset: index.readUInt32LE(at + 4),
      storedBytes: index.readUInt32LE(at + 8),
      rawBytes: index.readUInt32LE(at + 12),
      meta: index.subarray(at + 16, at + 16 + index.readUInt16LE(at + 2)),
    }
  }
}

// ---- files ----------------------------------------------------------------------------------------------------------

/** @param {Repository} repository @param {any} commit */
function readManifest(repository, commit) {
  const text = openPack(repository, commit.manifest.key, commit.manifest).readAll().toString('utf8')
  const [head, ...files] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
  const same = JSON.stringify(sortFields(head.facts)) === JSON.stringify(sortFields(commit.facts))
  if (!same || files.length !== head.facts.fileCount)
    throw damaged(commit.manifest.key, 'it does not fit the commit object beside it')
  return { head, files }
}

/** @param {any} value @returns {any} */
function sortFields(value) {
  if (Array.isArray(value)) return value.map(sortFields)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sortFields(value[name])]),
  )
}

/** @param {{ oid: number, location: string }[]} tablespaces @param {string[]} wishes */
function placeTablespaces(tablespaces, wishes) {
  const places = new Map(
    wishes.map((wish) => /** @type {[string, string]} */ ([wish.split('=')[0], wish.split('=').slice(1).join('=')])),
  )
  return tablespaces.map(({ oid, location }) => {
    const place = places.get(String(oid))
    if (!place)
      throw new Refused(`Say where tablespace ${oid} goes, with --tablespace ${oid}=DIRECTORY (it was in ${location})`)
    return { oid, place: resolve(place) }
  })
}

/** @param {string} path */
function makeEmptyDirectory(path) {
  fs.mkdirSync(path, { recursive: true, mode: 0o700 })
  if (fs.readdirSync(path).length > 0) throw new Refused(`Cannot restore into ${path}: it is not empty`)
  fs.chmodSync(path, 0o700)
}

/**
 * Writes all files, pack by pack; pg_control last, so that PostgreSQL does not start on an unfinished directory.
 * @param {Repository} repository @param {{ head: any, files: any[] }} manifest @param {string} target
 * @param {{ oid: number, place: string }[]} tablespaces
 */
function layOut(repository, { head, files }, target, tablespaces) {
  fs.mkdirSync(join(target, 'pg_tblspc'), { recursive: true, mode: 0o700 })
  for (const { oid, place } of tablespaces) fs.symlinkSync(place, join(target, 'pg_tblspc', String(oid)))
  for (const file of files) createEntry(safePath(target, file.path), file)
  const control = files.filter(({ path }) => path === 'global/pg_control')
  const others = files.filter(({ path }) => path !== 'global/pg_control')
  for (const [number, pack] of head.facts.packs.entries())
    writePack(repository, { ...pack, number }, others, target, head.facts.pageBytes)
  writeWhole(join(target, 'backup_label'), head.backupLabel)
  if (tablespaces.length > 0) {
    const lines = tablespaces.map(({ oid, place }) => `${oid} ${place.replace(/[\\\r\n]/g, '\\$&')}\n`)
    writeWhole(join(target, 'tablespace_map'), lines.join(''))
  }
  for (const file of others) if (file.kind !== 'directory') sync(safePath(target, file.path))
  for (const [number, pack] of head.facts.packs.entries()) {
    const needed = control.some((file) => file.parts.some((/** @type {number[]} */ part) => part[0] === number))
    if (needed) writePack(repository, { ...pack, number }, control, target, head.facts.pageBytes)
  }
  for (const file of control) sync(safePath(target, file.path))
}

/** @param {string} path @param {{ kind: string, mode: number, size: number }} file */
function createEntry(path, file) {
  fs.mkdirSync(file.kind === 'directory' ? path : dirname(path), { recursive: true, mode: 0o700 })
  if (file.kind !== 'directory') {
    const handle = fs.openSync(path, 'wx', 0o600)
    fs.ftruncateSync(handle, file.size)
    fs.closeSync(handle)
  }
  fs.chmodSync(path, file.mode & 0o777)
}

/**
 * @param {Repository} repository @param {{ key: string, sha256: string, number: number }} pack @param {any[]} files
 * @param {string} target @param {number} pageBytes
 */
function writePack(repository, pack, files, target, pageBytes) {
  const opened = openPack(repository, pack.key, pack)
  for (const file of files) {
    const runs = (file.map ?? []).filter((/** @type {number[]} */ run) => run[2] === pack.number)
    const parts = (file.parts ?? []).filter((/** @type {number[]} */ part) => part[0] === pack.number)
    if (runs.length === 0 && parts.length === 0) continue
    const handle = fs.openSync(safePath(target, file.path), 'r+')
    for (const run of runs) writeRun(opened, handle, run, pageBytes)
    for (const [, first, count] of parts) {
      for (let number = first; number < first + count; number += 1) {
        const plain = opened.read(number)
        writeAt(handle, plain, opened.fileOffset(number))
      }
    }
    fs.closeSync(handle)
  }
}

/**
 * Consecutive pages from consecutive slots: 32 slots a record, going on in the next record.
 * @param {{ read(number: number): Buffer }} pack @param {number} handle @param {number[]} run @param {number} pageBytes
 */
function writeRun(pack, handle, [startPage = 0, count = 0, , record = 0, slot = 0], pageBytes) {
  let place = record * 32 + slot
  for (let page = startPage; page < startPage + count;) {
    const pages = Math.min(startPage + count - page, 32 - (place % 32))
    const from = (place % 32) * pageBytes
    const plain = pack.read(Math.floor(place / 32)).subarray(from, from + pages * pageBytes)
    if (plain.length !== pages * pageBytes) throw new Refused(`Cannot restore page ${page}: its record is too short`)
    writeAt(handle, plain, page * pageBytes)
    page += pages
    place += pages
  }
}

/** @param {number} handle @param {Buffer} bytes @param {number} position */
function writeAt(handle, bytes, position) {
  for (let done = 0; done < bytes.length;) {
    done += fs.writeSync(handle, bytes, done, bytes.length - done, position + done)
  }
}

/** @param {string} path @param {string | Uint8Array} content */
function writeWhole(path, content) {
  fs.writeFileSync(path, content, { flag: 'wx', mode: 0o600 })
  sync(path)
}

/** @param {string} path */
function sync(path) {
  const handle = fs.openSync(path, 'r')
  fs.fsyncSync(handle)
  fs.closeSync(handle)
}

/** @param {string} target @param {string} path */
function safePath(target, path) {
  if (path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new Refused(`Cannot restore ${JSON.stringify(path)}: it leaves the data directory`)
  }
  return join(target, path)
}

// ---- write-ahead log ------------------------------------------------------------------------------------------------

/**
 * Writes the WAL from the backup's start on, of all timelines, under the names PostgreSQL asks for; the unfinished last
 * segment is padded with zeros, where PostgreSQL sees the end. Refuses when WAL the backup itself needs is missing.
 * @param {Repository} repository @param {any} facts @param {string} directory
 */
function extractWal(repository, facts, directory) {
  const { cluster } = facts
  const size = BigInt(facts.walSegmentBytes)
  const first = parseLsn(facts.startLsn) / size
  for (const name of namesIn(repository.root, cluster, 'wal').filter((name) => /^[0-9A-F]{8}\.history$/.test(name))) {
    writeWhole(join(directory, name), openPack(repository, `${cluster}/wal/${name}`).readAll())
  }
  /** @type {Map<number, Map<bigint, bigint>>} by timeline, the end of the WAL in each segment */
  const ends = new Map()
  for (const text of namesIn(repository.root, cluster, 'wal').filter((name) => /^[0-9A-F]{8}$/.test(name))) {
    for (const name of namesIn(repository.root, cluster, 'wal', text).filter((name) => /^[0-9A-F]{24}$/.test(name))) {
      const number = BigInt(`0x${name.slice(8, 16)}`) * (0x1_0000_0000n / size) + BigInt(`0x${name.slice(16)}`)
      if (number < first) continue
      writeWhole(join(directory, name), openPack(repository, `${cluster}/wal/${text}/${name}`).readAll())
      noteEnd(ends, text, number, (number + 1n) * size)
    }
  }
  for (const text of namesIn(repository.root, cluster, 'tail'))
    extractTail({ repository, cluster, text, size, first, directory, ends })
  const found = [...ends]
    .sort(([a], [b]) => a - b)
    .map(([timeline, segments]) => ({ timeline, ranges: joinSegments(segments, size) }))
  const own = found.find(({ timeline }) => timeline === facts.timeline)?.ranges[0]
  if (own === undefined || own.start > parseLsn(facts.startLsn) || own.end < parseLsn(facts.stopLsn)) {
    throw new Refused(
      `Cannot restore backup ${facts.backup}: WAL from ${facts.startLsn} to ${facts.stopLsn} is not complete in the repository`,
    )
  }
  return found
}

/**
 * @param {{ repository: Repository, cluster: string, text: string, size: bigint, first: bigint, directory: string,
 *   ends: Map<number, Map<bigint, bigint>> }} place
 */
function extractTail({ repository, cluster, text, size, first, directory, ends }) {
  const tails = namesIn(repository.root, cluster, 'tail', text)
    .filter((name) => /^[0-9A-F]{16}-[0-9A-F]{16}$/.test(name))
    .map((name) => {
      const [start = '', end = ''] = name.split('-')
      return { name, start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }
    })
  for (const number of new Set(tails.map(({ start }) => start / size))) {
    const whole = ends.get(Number.parseInt(text, 16))?.has(number) === true
    if (number < first || whole) continue
    const content = Buffer.alloc(Number(size))
    let reached = number * size
    for (;;) {
      const next = tails
        .filter(({ start, end }) => start >= number * size && start <= reached && end > reached)
        .sort((a, b) => (a.end > b.end ? -1 : 1))[0]
      if (next === undefined) break
      openPack(repository, `${cluster}/tail/${text}/${next.name}`)
        .readAll()
        .copy(content, Number(next.start - number * size))
      reached = next.end
    }
    if (reached === number * size) continue
    const perHigh = 0x1_0000_0000n / size
    const name =
      text +
      [number / perHigh, number % perHigh].map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('')
    writeWhole(join(directory, name), content)
    noteEnd(ends, text, number, reached)
  }
}

/** @param {Map<number, Map<bigint, bigint>>} ends @param {string} timeline @param {bigint} number @param {bigint} end */
function noteEnd(ends, timeline, number, end) {
  const id = Number.parseInt(timeline, 16)
  ends.set(id, (ends.get(id) ?? new Map()).set(number, end))
}

/** @param {Map<bigint, bigint>} segments @param {bigint} size */
function joinSegments(segments, size) {
  /** @type {{ start: bigint, end: bigint }[]} */
  const ranges = []
  for (const [number, end] of [...segments].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const last = ranges.at(-1)
    if (last?.end === number * size) last.end = end
    else ranges.push({ start: number * size, end })
  }
  return ranges
}

/** @param {string[]} path */
function namesIn(...path) {
  const directory = join(...path)
  return fs.existsSync(directory) ? fs.readdirSync(directory).sort() : []
}

/** @param {string} text */
function parseLsn(text) {
  const [high, low] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}

/** @param {bigint} lsn */
function formatLsn(lsn) {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase()
}

// ---- what to do next ------------------------------------------------------------------------------------------------

/**
 * @param {any} facts @param {string} target @param {string} walDirectory
 * @param {{ timeline: number, ranges: { start: bigint, end: bigint }[] }[]} wal
 */
function explain(facts, target, walDirectory, wal) {
  for (const directory of [walDirectory, target]) sync(directory)
  say(`\nRestored and verified. The data directory is ${target}, the write-ahead log is in ${walDirectory}:`)
  for (const { timeline, ranges } of wal) {
    for (const [index, { start, end }] of ranges.entries()) {
      if (index > 0)
        say(
          `  timeline ${timeline}: MISSING from ${formatLsn(ranges[index - 1]?.end ?? 0n)} to ${formatLsn(start)}: recovery cannot go past that`,
        )
      say(`  timeline ${timeline}: from ${formatLsn(start)} to ${formatLsn(end)}`)
    }
  }
  const major = Math.floor(facts.postgresVersion / 10_000)
  say(`
Now recover, as the user that owns ${target}, with PostgreSQL ${major}:
  1. Add to ${join(target, 'postgresql.auto.conf')}:
       restore_command = 'cp "${walDirectory}/%f" "%p"'
       archive_mode = off
       synchronous_standby_names = ''
       listen_addresses = 'localhost'
     and, to stop at a point of your choice instead of the end, one of
       recovery_target_time = '2026-01-31 12:34:56+00'    (or recovery_target_lsn, _xid, _name)
       recovery_target_action = 'promote'
  2. touch ${join(target, 'recovery.signal')}
  3. Look through ${basename(target)}/postgresql.conf and pg_hba.conf: ports, paths, included files, memory.
  4. pg_ctl -D ${target} start
It refuses connections until it is consistent (${facts.stopLsn}). Never remove backup_label.`)
}

/** @param {string} text */
function say(text) {
  process.stdout.write(`${text}\n`)
}

try {
  main()
} catch (error) {
  if (!(error instanceof Error)) throw error
  const expected = error instanceof Refused || 'code' in error
  process.stderr.write(`${expected ? error.message : error.stack}\n`)
  process.exitCode = 1
}
