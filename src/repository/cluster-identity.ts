import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import { fieldsOf } from './core/json-fields.ts'
import { clusterObject } from './core/object-names.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readStored } from './stored-objects.ts'

/** What a PostgreSQL cluster is from initdb to its end; two with the same name must never mix in a repository. */
export interface ClusterIdentity {
  readonly systemIdentifier: bigint
  readonly walSegmentBytes: number
}

/**
 * Ties a cluster name to one PostgreSQL cluster, on its first backup or WAL, and checks it on every later one. Throws
 * `repository-cluster-mismatch` when the name belongs to another.
 */
export async function claimCluster(
  repository: Repository,
  { cluster, systemIdentifier, walSegmentBytes }: ClusterIdentity & { readonly cluster: string },
  options: StoreOptions = {},
): Promise<void> {
  assertClusterName(cluster)
  const object = clusterObject(cluster)
  const description = encodeCheckedJson({
    format: formatVersion,
    repositoryId: repository.id,
    cluster,
    systemIdentifier: systemIdentifier.toString(),
    walSegmentBytes,
  })
  if ((await repository.store.create(object, description, options)) === 'created') return
  const present = decodeIdentity(repository, cluster, await readStored(repository.store, object, options))
  if (present.systemIdentifier === systemIdentifier && present.walSegmentBytes === walSegmentBytes) return
  throw new Fault(
    repositoryFaults['repository-cluster-mismatch'],
    `Cannot use the name ${cluster} for the cluster ${systemIdentifier}: in this repository it belongs to the cluster ${present.systemIdentifier}`,
    { details: { cluster, systemIdentifier: String(systemIdentifier), owner: String(present.systemIdentifier) } },
  )
}

/** What a cluster name was tied to; undefined while nothing of it is stored. */
export async function readClusterIdentity(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<ClusterIdentity | undefined> {
  const object = clusterObject(cluster)
  if ((await repository.store.size(object, options)) === undefined) return undefined
  return decodeIdentity(repository, cluster, await readStored(repository.store, object, options))
}

function decodeIdentity(repository: Repository, cluster: string, bytes: Uint8Array): ClusterIdentity {
  const object = clusterObject(cluster)
  return decodeCheckedJson(object, bytes, (value) => {
    const fields = fieldsOf(value, 'cluster')
    if (fields.text('repositoryId') !== repository.id || fields.text('cluster') !== cluster) {
      throw objectFault(object, 'swapped', 'it describes another cluster')
    }
    return {
      systemIdentifier: BigInt(fields.text('systemIdentifier', /^[0-9]{1,20}$/)),
      walSegmentBytes: fields.integer('walSegmentBytes', 1),
    }
  })
}
