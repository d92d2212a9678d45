import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Lsn } from '../../wal/core/lsn.ts'
import { quoteConfValue, quoteConninfoValue } from './quoting.ts'
import { refusedParameters, renderConninfo, renderServerSettings } from './server-settings.ts'
import type { ServerSettings } from './server-settings.ts'

const settings: ServerSettings = {
  port: 5432,
  listenAddresses: ['10.0.0.1', '::1'],
  socketDirectory: '/run/holdfast',
  clusterName: 'node-a',
  memberCount: 3,
  restartAfterCrash: false,
}
const upstream = { host: '10.0.0.2', port: 5433, user: 'r', passFile: '/x/pgpass', applicationName: "it's b" }

test('every value is quoted so that the server reads the same text again', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
      (text) => {
        const quoted = quoteConfValue(text)
        assert.ok(!quoted.includes('\n'))
        assert.equal(readConfValue(quoted), text)
      },
    ),
  )
})

test('a value in a connection string reads back', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const quoted = quoteConninfoValue(text)
      assert.equal(quoted.slice(1, -1).replaceAll(/\\(.)/gs, '$1'), text)
    }),
  )
})

test('what Holdfast owns comes after what the user set, each on a line of its own', () => {
  const lines = renderServerSettings({ ...settings, parameters: { work_mem: '64MB', autovacuum: false } }).split('\n')
  assert.ok(lines.indexOf("work_mem = '64MB'") < lines.indexOf("port = '5432'"))
  assert.ok(lines.includes("autovacuum = 'off'") && lines.includes("wal_sender_timeout = '10s'"))
  assert.ok(lines.includes("listen_addresses = '10.0.0.1,::1'"))
  assert.ok(lines.includes("wal_level = 'replica'"))
  assert.ok(lines.includes("restart_after_crash = 'off'"))
  const names = lines.filter((line) => line.includes(' = ')).map((line) => line.split(' = ')[0])
  assert.equal(new Set(names).size, names.length)
})

test('a default gives way to what the user chose, in any spelling', () => {
  const text = renderServerSettings({ ...settings, parameters: { WAL_Sender_Timeout: '1min' } })
  assert.deepEqual(text.match(/^wal_sender_timeout = .*$/gm), ["wal_sender_timeout = '1min'"])
})

test('senders and slots grow with the cluster', () => {
  const senders = (memberCount: number): string | undefined =>
    /^max_wal_senders = '(\d+)'$/m.exec(renderServerSettings({ ...settings, memberCount }))?.[1]
  assert.equal(senders(5), '20')
  assert.equal(senders(7), '25')
})

test('parameters that Holdfast owns are refused, in any spelling, whether it sets them now or not', () => {
  const parameters = {
    Port: 1,
    FSYNC: 'off',
    synchronous_commit: 'off',
    recovery_target_xid: '5',
    restore_command: 'x',
    primary_conninfo: 'x',
    ssl_key_file: 'x',
    hba_file: 'x',
    'a b': 'x',
    "x'": 'x',
    work_mem: '4MB',
    'my.setting': 'fine',
  }
  const refused = refusedParameters({ ...settings, parameters }).map(({ name }) => name)
  assert.deepEqual(
    refused,
    Object.keys(parameters).filter((name) => name !== 'work_mem' && name !== 'my.setting'),
  )
})

test('a value that no file can hold is refused', () => {
  const refused = refusedParameters({ ...settings, parameters: { log_line_prefix: 'a\0b' } })
  assert.deepEqual(refused, [{ name: 'log_line_prefix', reason: 'has a NUL character in its value' }])
})

test('a standby is told its upstream by a password file, and a primary has none', () => {
  const text = renderServerSettings({ ...settings, upstream: { ...upstream, slot: 'b' } })
  assert.match(text, /^primary_slot_name = 'b'$/m)
  assert.ok(renderConninfo(upstream).includes("passfile='/x/pgpass' application_name='it\\'s b'"))
  assert.ok(!renderConninfo(upstream).includes('password'))
  assert.match(renderServerSettings(settings), /^primary_conninfo = ''$/m)
})

test('each recovery target is written as the one parameter that PostgreSQL knows it by', () => {
  const render = (target: NonNullable<ServerSettings['recovery']>['target']): string[] => {
    const recovery = { restoreCommand: 'x', target, timeline: 'latest', action: 'pause' } as const
    const text = renderServerSettings({ ...settings, recovery })
    return [...text.matchAll(/^(recovery_target(?!_action|_timeline)\w* = .*)$/gm)].map((match) => match[1] ?? '')
  }
  assert.deepEqual(render({ kind: 'latest' }), [])
  assert.deepEqual(render({ kind: 'immediate' }), ["recovery_target = 'immediate'"])
  assert.deepEqual(render({ kind: 'name', name: "o'clock" }), ["recovery_target_name = 'o''clock'"])
  assert.deepEqual(render({ kind: 'time', time: '2026-11-22 13:41:05.5+00', inclusive: false }), [
    "recovery_target_time = '2026-11-22 13:41:05.5+00'",
    "recovery_target_inclusive = 'off'",
  ])
  assert.deepEqual(render({ kind: 'lsn', lsn: 0x16_b374d848n as Lsn, inclusive: true }), [
    "recovery_target_lsn = '16/B374D848'",
    "recovery_target_inclusive = 'on'",
  ])
  assert.deepEqual(render({ kind: 'transaction', transaction: '731', inclusive: true }), [
    "recovery_target_xid = '731'",
    "recovery_target_inclusive = 'on'",
  ])
})

/** Reads a quoted value as guc-file.l and DeescapeQuotedString do. */
function readConfValue(quoted: string): string {
  const body = quoted.slice(1, -1)
  let text = ''
  for (let at = 0; at < body.length; at += 1) {
    const next = body[at + 1] ?? ''
    if (body[at] === '\\') {
      text += { n: '\n', r: '\r' }[next] ?? next
      at += 1
    } else if (body[at] === "'") {
      assert.equal(next, "'")
      text += "'"
      at += 1
    } else {
      text += body[at]
    }
  }
  return text
}
