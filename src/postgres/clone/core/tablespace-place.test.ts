import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkTarget, outsideOf, placeOf, tablespacePlaces } from './tablespace-place.ts'

const places = tablespacePlaces(
  [
    { oid: null, location: null },
    { oid: 16_400, location: '/fast' },
    { oid: 16_401, location: '/slow' },
    { oid: 16_402, location: 'pg_tblspc/16402' },
  ],
  '/data',
  new Map([['/fast', '/here/fast']]),
)

test('archives go to the data directory, the mapped, the same, or the inner place', () => {
  assert.deepEqual(placeOf(places, 'base.tar'), { directory: '/data', manifestPrefix: '' })
  assert.deepEqual(placeOf(places, '16400.tar'), { directory: '/here/fast', manifestPrefix: 'pg_tblspc/16400/' })
  assert.equal(placeOf(places, '16401.tar').directory, '/slow')
  assert.equal(placeOf(places, '16402.tar').directory, '/data/pg_tblspc/16402')
  assert.deepEqual(outsideOf(places), ['/here/fast', '/slow'])
})

test('links point to where the archive went', () => {
  assert.equal(linkTarget(places, 'pg_tblspc/16400'), '/here/fast')
})

test('an archive or a link of no tablespace is refused', () => {
  assert.throws(() => placeOf(places, '99.tar'), RangeError)
  assert.throws(() => linkTarget(places, 'pg_wal'), RangeError)
  assert.throws(() => linkTarget(places, 'pg_tblspc/99'), RangeError)
})
