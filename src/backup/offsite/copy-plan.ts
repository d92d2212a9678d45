import { Fault, isFault } from '../../std/fault.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { isObjectFault } from '../../repository/catalogue.ts'
import {
  clusterObject,
  commitObject,
  guideObject,
  repositoryObject,
  restoreProgramObject,
} from '../../repository/core/object-names.ts'
import { checkObject } from './check-object.ts'
import { copyBackup } from './copy-backup.ts'
import { copyDump } from './copy-dump.ts'
import { copyObject, type CopyRoute } from './copy-object.ts'
import { copyWalObject } from './copy-wal.ts'
import type { CopyItem, CopyPlan, ObjectSizes } from './core/plan-copy.ts'
import { offsiteFaults } from './faults.ts'
import { inParallel } from './in-parallel.ts'

/** Told what could not be copied although both stores work; the rest goes on. */
export type OnProblem = (subject: string, fault: Fault) => void

const parallelWal = 3

/**
 * What every place needs before anything else: the restore kit, keys, then `repository.json`, with which the place belongs
 * to this repository and nobody else copies there, then what is known of the cluster.
 */
export async function copyKit(
  route: CopyRoute,
  plan: CopyPlan,
  { taken, onProblem }: { readonly taken: ObjectSizes; readonly onProblem: OnProblem },
): Promise<void> {
  for (const item of plan.kit) {
    // A newer version may have written another restore program; that of the copy stays, and does for its format.
    if ([guideObject, restoreProgramObject].includes(item.key) && taken.has(item.key)) continue
    const copy = (): Promise<void> => copyPlain(route, item, taken)
    // Without these two nothing else means anything; one key or one record more or less does not stop the rest.
    if ([repositoryObject, clusterObject(route.cluster)].includes(item.key)) await copy()
    else await minding(item.key, onProblem, copy, () => isGone(route, item.key))
  }
}

/** Copies WAL in its order, so many objects at a time. Gives what the copy has now. */
export async function copyWal(
  route: CopyRoute,
  items: readonly CopyItem[],
  { taken, onProblem }: { readonly taken: ObjectSizes; readonly onProblem: OnProblem },
): Promise<readonly CopyItem[]> {
  const there: CopyItem[] = []
  await inParallel(parallelWal, items, async (item) => {
    await minding(item.key, onProblem, async () => {
      const outcome = await copyWalObject(route, { key: item.key, taken: taken.has(item.key) })
      if (outcome !== 'gone') there.push(item)
    })
  })
  return there
}

/** Copies everything but WAL: the newest backup first, then the other backups, and dumps. */
export async function copyBulk(
  route: CopyRoute,
  plan: CopyPlan,
  { taken, onProblem }: { readonly taken: ObjectSizes; readonly onProblem: OnProblem },
): Promise<void> {
  for (const { commit } of plan.backups) {
    const { backup } = commit.facts
    const left = (): Promise<boolean> => isGone(route, commitObject(route.cluster, backup))
    await minding(`backup ${backup}`, onProblem, () => copyBackup(route, commit), left)
  }
  for (const dump of plan.dumps) {
    await minding(
      dump.file,
      onProblem,
      () => copyDump(route, dump, taken),
      () => isGone(route, dump.record.key),
    )
  }
}

async function copyPlain(route: CopyRoute, { key }: CopyItem, taken: ObjectSizes): Promise<void> {
  const { first, cluster } = route
  const check = (bytes: Uint8Array): void => checkObject(first.keyring, cluster, key, bytes)
  await copyObject(route, { key, kind: 'bulk', taken: taken.has(key), check })
}

async function isGone({ first, signal }: CopyRoute, key: string): Promise<boolean> {
  return (await first.store.size(key, { signal })) === undefined
}

/** What is wrong with one thing stops only that; where it has expired meanwhile, nothing is wrong. */
async function minding(
  subject: string,
  onProblem: OnProblem,
  work: () => Promise<unknown>,
  expired: () => Promise<boolean> = async () => false,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Fault) || !isOfOneObject(error)) throw error
    if (isFault(error, repositoryFaults['repository-object-missing']) && (await expired())) return
    onProblem(subject, error)
  }
}

function isOfOneObject(fault: Fault): boolean {
  return isObjectFault(fault) || Object.values(offsiteFaults).some((kind) => isFault(fault, kind))
}
