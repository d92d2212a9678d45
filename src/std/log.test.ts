import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLog } from './log.ts'
import { Secret } from './secret.ts'

test('lines are JSON with constant messages, added fields, the level by name, and no secret', () => {
  const directory = mkdtempSync(join(tmpdir(), 'log-'))
  const file = join(directory, 'log')
  const fileDescriptor = openSync(file, 'w')
  try {
    const log = openLog({ level: 'info', fileDescriptor }).with({ node: 'n1' })
    log.debug('not written')
    log.warn('connected', { user: 'postgres', password: new Secret('hunter2') })
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    assert.equal(lines.length, 1)
    const { time, ...line } = JSON.parse(lines[0] ?? '') as Record<string, unknown>
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/)
    assert.deepEqual(line, { level: 'warn', node: 'n1', user: 'postgres', password: '[redacted]', msg: 'connected' })
  } finally {
    closeSync(fileDescriptor)
    rmSync(directory, { recursive: true })
  }
})
