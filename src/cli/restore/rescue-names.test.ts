import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nameBeside, parseTableName } from './rescue-names.ts'

test('a table is named by database, schema and table, quoted where it has to be', () => {
  const read = (text: string): unknown => {
    const found = parseTableName(text)
    return found === undefined ? undefined : [found.database, found.schema, found.table]
  }
  assert.deepEqual(read('shop.public.orders'), ['shop', 'public', 'orders'])
  assert.deepEqual(read('shop."my.schema"."Or""ders"'), ['shop', 'my.schema', 'Or"ders'])
  assert.deepEqual(read('Shop.Public.Orders'), ['Shop', 'Public', 'Orders'])
  for (const wrong of ['', 'orders', 'public.orders', 'a.b.c.d', 'a..c', 'a.b.', 'a.b."c', 'a.b"x".c', '.b.c']) {
    assert.equal(read(wrong), undefined, wrong)
  }
})

test('names beside the original tell the moment and fit', () => {
  const at = Date.UTC(2026, 10, 22, 14, 5, 6)
  assert.equal(nameBeside({ kind: 'database', database: 'shop' }, at), 'shop_restored_20261122t140506z')
  const table = { kind: 'table', database: 'd', schema: 's', table: 't' } as const
  assert.equal(nameBeside(table, at), 'holdfast_restored_20261122t140506z')
  const long = nameBeside({ kind: 'database', database: 'ü'.repeat(40) }, at)
  assert.ok(Buffer.byteLength(long) <= 63 && long.startsWith('üü') && long.endsWith('z'), long)
})
