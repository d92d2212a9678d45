import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderHostBasedAuthentication } from './host-based-authentication.ts'

const rules = { superuser: 'postgres', replicationUser: 'holdfast_replication', memberAddresses: ['10.0.0.1'] }

test('members may replicate and administer from exactly their addresses; nobody is trusted', () => {
  const text = renderHostBasedAuthentication({ ...rules, memberAddresses: ['10.0.0.1', 'fd00::2', 'db-b', '10.0.0.1'] })
  assert.deepEqual(text.split('\n').slice(2), [
    'local all all scram-sha-256',
    'local replication "postgres","holdfast_replication" scram-sha-256',
    'host replication "postgres","holdfast_replication" 10.0.0.1/32 scram-sha-256',
    'host all "postgres" 10.0.0.1/32 scram-sha-256',
    'host replication "postgres","holdfast_replication" fd00::2/128 scram-sha-256',
    'host all "postgres" fd00::2/128 scram-sha-256',
    'host replication "postgres","holdfast_replication" "db-b" scram-sha-256',
    'host all "postgres" "db-b" scram-sha-256',
    '',
  ])
})

test('clients get the databases and roles they were given, with TLS where it is asked for', () => {
  const clients = [
    { database: 'app', user: 'a"b', address: '10.1.0.0/16' },
    { database: 'all', user: 'all', address: 'all' },
  ]
  const text = renderHostBasedAuthentication({ ...rules, clients, tlsRequired: true })
  assert.ok(text.includes('\nhostssl "app" "a""b" 10.1.0.0/16 scram-sha-256\nhostssl all all all scram-sha-256\n'))
  assert.ok(!/^host /m.test(text))
})
