import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { Client } from 'pg'
import { isFault } from '../../std/fault.ts'
import { replicationFaults } from './faults.ts'
import { takeOverSocket } from './take-over-socket.ts'

function fakeClient(socket: Socket, key: object): Client {
  return Object.assign(new Client({ stream: () => socket }), key)
}

test('the parser of pg is taken off the socket, and nothing else', () => {
  const socket = new Socket()
  const client = fakeClient(socket, { processID: 1, secretKey: 2 })
  socket.on('data', () => assert.fail('the parser of pg still listens'))
  assert.deepEqual(takeOverSocket(client), { socket, processId: 1, secretKey: 2 })
  assert.equal(socket.listenerCount('data'), 0)
  client.emit('error', new Error('an error of the socket, told again by pg, ends no process'))
})

test('a pg that looks different inside is refused', () => {
  const changed = (error: unknown): boolean => isFault(error, replicationFaults['postgres-client-changed'])
  const none = new Socket()
  assert.throws(() => takeOverSocket(fakeClient(none, { processID: 1, secretKey: 2 })), changed)
  const two = new Socket().on('data', () => {}).on('data', () => {})
  assert.throws(() => takeOverSocket(fakeClient(two, { processID: 1, secretKey: 2 })), changed)
  const keyless = new Socket().on('data', () => {})
  assert.throws(() => takeOverSocket(fakeClient(keyless, { processID: null, secretKey: null })), changed)
})
