import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { openReplicationConnection } from '../../postgres/replication/replication-connection.ts'
import type { Clock } from '../../std/clock.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { timelinePath } from '../../wal/core/timeline-history.ts'
import { readHistory } from '../server-history.ts'
import { NothingToOffer } from './donor.ts'
import type { WalDonor, WantedWal } from './donor.ts'

/** Another member of the cluster, whose `pg_wal` may still have it. It needs no slot: what it loses meanwhile it loses. */
export function memberDonor(name: string, target: ConnectionTarget, clock: Clock): WalDonor {
  return {
    name,
    async *offer(wanted, signal) {
      await using connection = await openReplicationConnection(target, { signal, clock })
      const identity = await connection.identifySystem()
      if (identity.systemIdentifier !== wanted.systemIdentifier) throw new NothingToOffer('it is of another cluster')
      const path = timelinePath(await readHistory(connection, identity))
      const stretch = path.find(({ timeline }) => timeline === wanted.timeline)
      if (stretch?.startLsn !== wanted.timelineStartLsn) {
        throw new NothingToOffer(`it does not know timeline ${wanted.timeline}`)
      }
      const endLsn = earliest(wanted.endLsn, stretch.endLsn ?? identity.flushLsn)
      if (endLsn <= wanted.durableLsn) throw new NothingToOffer(`it has it only up to ${formatLsn(endLsn)}`)
      yield* receive(connection, { ...wanted, endLsn })
    },
  }
}

async function* receive(
  connection: Awaited<ReturnType<typeof openReplicationConnection>>,
  { startLsn, endLsn, timeline }: WantedWal,
): AsyncIterable<Uint8Array> {
  const stream = await connection.startPhysicalReplication({ startLsn, timeline, statusIntervalMs: 1000 })
  let reached = startLsn
  for await (const item of stream) {
    if (item.kind !== 'wal') {
      if (item.kind === 'keepalive') continue
      return
    }
    // A member that was leader itself may have more of this timeline than the others followed.
    const piece = item.data.subarray(0, Number(endLsn - reached))
    yield piece
    reached = (reached + BigInt(piece.length)) as Lsn
    if (reached >= endLsn) return
  }
}

function earliest(left: Lsn, right: Lsn): Lsn {
  return left < right ? left : right
}
