import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directoryRule, keepsFile, unloggedFilter, vanishedFile } from './content-rules.ts'

test('files that belong into a backup', () => {
  const kept = [
    'PG_VERSION',
    'postgresql.conf',
    'postgresql.auto.conf',
    'holdfast.conf',
    'global/pg_control',
    'global/pg_filenode.map',
    'base/5/16384',
    'base/5/16384_init',
    'pg_xact/0000',
    'log/postgresql.log',
    'pgsql_tmp_like.conf',
    'pg_internal.init.notes',
    'extra/postmaster.pid',
    'extra/backup_label',
    'base/5/my_pgsql_tmp',
    'pg_walnut/x',
    't3_16384',
  ]
  for (const path of kept) assert.equal(keepsFile(path), true, path)
})

test('files that are left out', () => {
  const left = [
    'postmaster.pid',
    'postmaster.opts',
    'backup_label',
    'backup_label.old',
    'tablespace_map',
    'backup_manifest',
    'postgresql.auto.conf.tmp',
    'current_logfiles.tmp',
    'recovery.signal',
    'standby.signal',
    'pg_wal/000000010000000000000001',
    'pg_wal/archive_status/000000010000000000000001.done',
    'global/pg_internal.init',
    'base/5/pg_internal.init.4711',
    'pg_tblspc/16400/PG_15_202209061/5/pg_internal.init',
    'base/pgsql_tmp/pgsql_tmp4711.0',
    'pg_tblspc/16400/PG_15_202209061/pgsql_tmp/pgsql_tmp4711.0',
    'base/5/t3_16384',
    'base/5/t3_16384_fsm.1',
    'pg_tblspc/16400/PG_15_202209061/5/t12_16384',
  ]
  for (const path of left) assert.equal(keepsFile(path), false, path)
})

test('directories', () => {
  const rules = {
    base: 'keep',
    'base/5': 'keep',
    pg_wal: 'keep',
    'pg_wal/archive_status': 'keep-empty',
    'pg_wal/summaries': 'keep-empty',
    'pg_wal/somebody': 'exclude',
    pg_replslot: 'keep-empty',
    pg_stat_tmp: 'keep-empty',
    pg_notify: 'keep-empty',
    pg_stat: 'keep',
    'extra/pg_notify': 'keep',
    'base/pgsql_tmp': 'exclude',
    pgsql_tmp: 'keep',
  } as const
  for (const [path, rule] of Object.entries(rules)) assert.equal(directoryRule(path), rule, path)
})

test('of an unlogged relation only the init fork is kept, in its own database only', () => {
  const paths = [
    'base/5/100',
    'base/5/100.1',
    'base/5/100_fsm',
    'base/5/100_init',
    'base/5/1001',
    'base/6/100',
    'x/100',
  ]
  assert.deepEqual(paths.filter(unloggedFilter(paths)), ['base/5/100_init', 'base/5/1001', 'base/6/100', 'x/100'])
})

test('which files may go away while they are read', () => {
  assert.equal(vanishedFile('base/5/16384'), 'dropped')
  assert.equal(vanishedFile('pg_xact/0000'), 'dropped')
  assert.equal(vanishedFile('global/pg_control'), 'essential')
  assert.equal(vanishedFile('PG_VERSION'), 'essential')
  assert.equal(vanishedFile('base/5/PG_VERSION'), 'essential-unless-database-dropped')
  assert.equal(vanishedFile('pg_tblspc/1/PG_15_2/5/pg_filenode.map'), 'essential-unless-database-dropped')
})
