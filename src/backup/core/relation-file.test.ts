import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstBlockOf, parseRelationFile } from './relation-file.ts'

test('names of relation files', () => {
  const main = { directory: 'base/5', relation: 16384, fork: 'main', segment: 0, temporary: false }
  assert.deepEqual(parseRelationFile('base/5/16384'), main)
  assert.deepEqual(parseRelationFile('base/5/16384.12'), { ...main, segment: 12 })
  assert.deepEqual(parseRelationFile('base/5/16384_fsm'), { ...main, fork: 'fsm' })
  assert.deepEqual(parseRelationFile('base/5/16384_vm.1'), { ...main, fork: 'vm', segment: 1 })
  assert.deepEqual(parseRelationFile('base/5/16384_init'), { ...main, fork: 'init' })
  assert.deepEqual(parseRelationFile('base/5/t3_16384_fsm'), { ...main, fork: 'fsm', temporary: true })
  assert.deepEqual(parseRelationFile('global/1262'), { ...main, directory: 'global', relation: 1262 })
  assert.deepEqual(parseRelationFile('pg_tblspc/16400/PG_15_202209061/5/16401.1'), {
    ...main,
    directory: 'pg_tblspc/16400/PG_15_202209061/5',
    relation: 16401,
    segment: 1,
  })
})

test('what only looks like a relation file', () => {
  const others = [
    'PG_VERSION',
    '16384',
    'pg_xact/0000',
    'base/5/pg_filenode.map',
    'base/5/16384.0',
    'base/5/016384',
    'base/5/16384_fsm_vm',
    'base/5/16384_main',
    'base/5/16384.1.2',
    'base/5/x16384',
    'base/5/t_16384',
    'base/5/16384 ',
    'base/5/deeper/16384',
    'base/x5/16384',
    'pg_tblspc/16400/16401',
    'pg_tblspc/16400/other/5/16401',
    'backup/base/5/16384',
  ]
  for (const path of others) assert.equal(parseRelationFile(path), undefined, path)
})

test('blocks go on counting from one segment file to the next', () => {
  const blocksPerSegment = 131072
  const block = (path: string) => firstBlockOf(parseRelationFile(path) ?? assert.fail(path), blocksPerSegment)
  assert.equal(block('base/5/16384'), 0)
  assert.equal(block('base/5/16384.1'), 131072)
  assert.equal(block('base/5/16384.40'), 5242880)
})
