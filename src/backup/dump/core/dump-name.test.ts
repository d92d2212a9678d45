import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { dumpFileName, isDumpFileName } from './dump-name.ts'

const run = '20261122T141702Z-602410cd'
const tell = (database: string): string => Buffer.from(database).toString('hex').padEnd(8, '0').slice(0, 8)

test('names are those of the database, the time and the format', () => {
  assert.equal(dumpFileName({ database: 'app', run, content: 'custom' }, tell), `app-${run}.dump.gpg`)
  assert.equal(dumpFileName({ database: 'app', run, content: 'plain' }, tell), `app-${run}.sql.gpg`)
  assert.equal(dumpFileName({ database: undefined, run, content: 'plain' }, tell), `globals-${run}.sql.gpg`)
  assert.equal(dumpFileName({ database: 'globals', run, content: 'plain' }, tell), `globals-676c6f62-${run}.sql.gpg`)
})

test('whatever a database is called, its dump has a name that every store takes', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 63, unit: 'binary' }), (database) => {
      const name = dumpFileName({ database, run, content: 'custom' }, tell)
      assert.ok(isDumpFileName(name), name)
      assert.ok(name.length < 190)
    }),
  )
  for (const name of ['.app.dump.gpg', '../x.dump.gpg', `a/b-${run}.dump.gpg`, `app-${run}.dump.gpg.sha256`]) {
    assert.equal(isDumpFileName(name), false)
  }
})
