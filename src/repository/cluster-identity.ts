import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import { fieldsOf } from './core/json-fields.ts'
import { clusterObject } from './core/object-names.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readIfStored, readStored } from './stored-objects.ts'

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
  // Looked at first: this is asked with every segment, and to create what is there costs more than to read it.
  const known = await readIfStored(repository.store, object, options)
  if (known === undefined && (await repository.store.create(object, description, options)) === 'created') return
  const present = decodeIdentity(repository, cluster, known ?? (await readStored(repository.store, object, options)))
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
  const bytes = await readIfStored(repository.store, clusterObject(cluster), options)
  return bytes === undefined ? undefined : decodeIdentity(repository, cluster, bytes)
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
