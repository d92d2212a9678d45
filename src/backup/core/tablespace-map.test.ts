import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTablespaceMap, tablespaceOf } from './tablespace-map.ts'

test('reads oids and places, whatever characters a path has', () => {
  assert.deepEqual(parseTablespaceMap('16400 /srv/fast\n16401 /srv/a b/\\\n99 tricky\\\\\n16402 /x\n'), [
    { oid: 16400, location: '/srv/fast' },
    { oid: 16401, location: '/srv/a b/\n99 tricky\\' },
    { oid: 16402, location: '/x' },
  ])
  assert.deepEqual(parseTablespaceMap(''), [])
})

test('knows to which tablespace a path belongs', () => {
  assert.equal(tablespaceOf('pg_tblspc/16400'), 16400)
  assert.equal(tablespaceOf('pg_tblspc/16400/PG_15_202209061/5/1'), 16400)
  assert.equal(tablespaceOf('pg_tblspc/16400x/5'), undefined)
  assert.equal(tablespaceOf('base/16400'), undefined)
})
