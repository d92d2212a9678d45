import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mappedTablespaces, tablespaceOf } from './tablespace-map.ts'

test('reads oids, whatever the paths are', () => {
  assert.deepEqual([...mappedTablespaces('16400 /srv/fast\n16401 /srv/a b/\\\n99 tricky\n')], [16400, 16401])
  assert.deepEqual([...mappedTablespaces('')], [])
})

test('knows to which tablespace a path belongs', () => {
  assert.equal(tablespaceOf('pg_tblspc/16400'), 16400)
  assert.equal(tablespaceOf('pg_tblspc/16400/PG_15_202209061/5/1'), 16400)
  assert.equal(tablespaceOf('pg_tblspc/16400x/5'), undefined)
  assert.equal(tablespaceOf('base/16400'), undefined)
})
