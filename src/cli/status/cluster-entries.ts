import { readCluster } from '../../cluster/agent/read-cluster.ts'
import { MalformedValue } from '../../cluster/core/json-reader.ts'
import { clusterKeys } from '../../cluster/core/keys.ts'
import type { Coordinator } from '../../coordinator/coordinator.ts'
import { Fault } from '../../std/fault.ts'
import { cliFaults } from '../faults.ts'
import type { ClusterEntries } from './core/status-report.ts'

/** What the nodes have agreed on, with the revisions that a write which depends on it must name. */
export async function readClusterEntries(
  coordinator: Coordinator,
  cluster: string,
  signal: AbortSignal,
): Promise<ClusterEntries & { readonly revisions: { readonly leader: number; readonly switchover: number } }> {
  const { cluster: view } = await readCluster(coordinator, clusterKeys(cluster), signal).catch((error: unknown) => {
    if (!(error instanceof MalformedValue)) throw error
    const message = `Cannot read cluster ${cluster} in ${coordinator.description}: ${error.message}`
    throw new Fault(cliFaults['cli-cluster-unreadable'], message, { cause: error })
  })
  return {
    leader: view.leader.value,
    state: view.state.value,
    members: view.members,
    switchover: view.switchover.value,
    pause: view.pause,
    revisions: { leader: view.leader.revision, switchover: view.switchover.revision },
  }
}
