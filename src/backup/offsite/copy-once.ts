import type { Fault } from '../../std/fault.ts'
import { commitObject } from '../../repository/core/object-names.ts'
import type { CopyRoute } from './copy-object.ts'
import { copyBulk, copyKit, copyWal } from './copy-plan.ts'
import { planBytes, planCopy, type CopyPlan } from './core/plan-copy.ts'
import { assertTwoPlaces, surveyCopy, type CopySurvey } from './survey-copy.ts'

/** What could not be copied, by what it is: an object, or a backup. */
export type CopyProblems = ReadonlyMap<string, Fault>

export interface CopyOutcome {
  readonly copiedObjects: number
  readonly copiedBytes: number
  readonly problems: CopyProblems
  /** Listed in the first repository, and how many of those the copy lists. */
  readonly backups: { readonly listed: number; readonly copied: number }
}

/** More is only needed where much comes while it copies. */
const rounds = 3

/**
 * Brings a copy up to date with the first repository, and ends. What comes meanwhile is copied too, as far as it comes
 * while something else is copied. May run beside other copiers of the same place.
 */
export async function copyOnce(
  given: CopyRoute,
  onProgress: (progress: { readonly copiedBytes: number; readonly totalBytes: number }) => void = () => {},
): Promise<CopyOutcome> {
  let [copiedObjects, copiedBytes, totalBytes] = [0, 0, 0]
  const route: CopyRoute = {
    ...given,
    onCopied: (object) => {
      copiedObjects += 1
      copiedBytes += object.sizeBytes
      given.onCopied?.(object)
      onProgress({ copiedBytes, totalBytes: Math.max(totalBytes, copiedBytes) })
    },
  }
  for (let round = 1; ; round += 1) {
    const problems = new Map<string, Fault>()
    const survey = await surveyCopy(route.first, route.copy, route.cluster, route)
    const plan = planCopy(survey)
    if (isDone(plan) && copiedObjects === 0) await assertTwoPlaces(route.first, route.copy, route.cluster, route)
    totalBytes = copiedBytes + Object.values(planBytes(plan)).reduce((sum, bytes) => sum + bytes, 0)
    onProgress({ copiedBytes, totalBytes })
    const before = copiedObjects
    await carryOut(route, survey, plan, problems)
    if (round < rounds && copiedObjects > before) continue
    const copied = survey.commits.filter(({ facts }) => isListed(survey, facts.backup)).length
    const listed = survey.commits.length + survey.damaged.length
    return { copiedObjects, copiedBytes, problems, backups: { listed, copied } }
  }
}

/** True when the copy has everything. */
export function isDone({ kit, wal, backups, dumps }: CopyPlan): boolean {
  return [kit, wal, backups, dumps].every((items) => items.length === 0)
}

async function carryOut(
  route: CopyRoute,
  survey: CopySurvey,
  plan: CopyPlan,
  problems: Map<string, Fault>,
): Promise<void> {
  for (const { backup, fault } of survey.damaged) problems.set(`backup ${backup}`, fault)
  const onProblem = (subject: string, fault: Fault): void => void problems.set(subject, fault)
  const options = { taken: survey.copy, onProblem }
  await copyKit(route, plan, options)
  await copyWal(route, plan.wal, options)
  await copyBulk(route, plan, options)
  await removeSuperseded(route, plan.superseded)
}

/**
 * Tails go when their segment is in the copy, as in the first repository. A store that lets nobody delete keeps them until
 * an expiry takes them.
 */
export async function removeSuperseded({ copy, signal }: CopyRoute, superseded: readonly string[]): Promise<void> {
  for (const key of superseded) await copy.delete(key, { signal }).catch(() => signal?.throwIfAborted())
}

export function isListed({ cluster, first, copy }: CopySurvey, backup: string): boolean {
  const key = commitObject(cluster, backup)
  const sizeBytes = copy.get(key)
  return sizeBytes !== undefined && sizeBytes === first.get(key)
}
