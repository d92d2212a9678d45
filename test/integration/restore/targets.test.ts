import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMoment } from '../../../src/restore/core/target.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { currentLsn, openArchiveScene, startArchiver } from '../archive/archive-scene.ts'
import { backUp, restore, rowsOf } from './restore-scene.ts'

test('recovery to latest, a time, a transaction, a position and a name: the boundary row is there, the next is not', async () => {
  await using scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  const moments: string[] = []
  const transactions: bigint[] = []
  const positions: bigint[] = []
  {
    await using archiver = startArchiver(scene)
    await sql.query('CREATE TABLE t (x int)')
    await backUp(scene)
    for (let x = 1; x <= 6; x += 1) {
      await sql.query('BEGIN')
      const [transaction] = await sql.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id')
      await sql.query('INSERT INTO t VALUES ($1)', [x])
      await sql.query('COMMIT')
      const [moment] = await sql.query<{ now: string }>(
        "SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text || '+00' AS now",
      )
      moments.push(moment?.now ?? '')
      transactions.push(BigInt(transaction?.id ?? 0))
      positions.push(await currentLsn(sql))
      if (x === 4) await sql.query("SELECT pg_create_restore_point('after four')")
    }
    const lsn = await currentLsn(sql)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  const cases = [
    { target: { kind: 'latest' }, last: 6 },
    { target: { kind: 'time', epochMicros: parseMoment(moments[1] ?? '') ?? 0n, inclusive: true }, last: 2 },
    { target: { kind: 'xid', xid: transactions[2] ?? 0n, inclusive: true }, last: 3 },
    { target: { kind: 'xid', xid: transactions[2] ?? 0n, inclusive: false }, last: 2 },
    { target: { kind: 'lsn', lsn: (positions[2] ?? 0n) as never, inclusive: false }, last: 3 },
    { target: { kind: 'name', name: 'after four' }, last: 4 },
    { target: { kind: 'immediate' }, last: 0 },
  ] as const
  for (const [index, { target, last }] of cases.entries()) {
    const actions =
      target.kind === 'latest' || target.kind === 'time' ? (['promote', 'pause'] as const) : (['promote'] as const)
    for (const action of actions) {
      const directory = `restored-${index}-${action}`
      await using recovered = await restore(scene, target, { directory, recovery: { action } })
      const expected = Array.from({ length: last }, (_, row) => String(row + 1))
      assert.deepEqual(await rowsOf(recovered), expected, `${target.kind} ${action}: ${recovered.stoppedAt}`)
      assert.ok(recovered.connection !== undefined)
      const [state] = await withSql(recovered.connection, {}, (copy) =>
        copy.query('SELECT pg_is_in_recovery() AS recovering, current_setting($1) AS archiving', ['archive_mode']),
      )
      assert.deepEqual(state, { recovering: action === 'pause', archiving: 'off' })
      if (action === 'pause') await recovered.promote()
      await withSql(recovered.connection, {}, (copy) => copy.query('INSERT INTO t VALUES (7)'))
      assert.deepEqual(await rowsOf(recovered), [...expected, '7'])
    }
  }
})
