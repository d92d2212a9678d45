import type { Repository } from '../../repository/repository.ts'
import type { Clock } from '../../std/clock.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import type { CopyRoute } from './copy-object.ts'
import { isDone } from './copy-once.ts'
import { copyBulk, copyKit } from './copy-plan.ts'
import { CopyProgress, type CopierStatus, type RememberedTimes } from './copy-progress.ts'
import { planCopy } from './core/plan-copy.ts'
import { followWal, readKnownNames, type KnownNames } from './follow-wal.ts'
import { openPacer } from './pacer.ts'
import { assertTwoPlaces, surveyCopy } from './survey-copy.ts'

export interface CopierOptions {
  /** Opens both places; called again after trouble. */
  readonly open: (signal: AbortSignal) => Promise<OpenedRoute>
  readonly cluster: string
  readonly bytesPerSecond?: number | undefined
  /** How often it looks for what came when nobody wakes it; by default 3 s. */
  readonly lookMs?: number | undefined
  readonly remembered?: RememberedTimes | undefined
  readonly clock: Clock
  readonly onStatus: (status: CopierStatus) => void
  /** A promise of something new to copy; asked for at every rest. */
  readonly woken?: (() => Promise<void>) | undefined
  readonly signal: AbortSignal
}

export interface OpenedRoute extends AsyncDisposable {
  readonly first: Repository
  readonly copy: ObjectStore
}

const defaultLookMs = 3000
const surveyEveryMs = 600_000
/** While something has a problem, which somebody may have solved. */
const surveyTroubleMs = 120_000
const surveyPauseMs = 5000
const interruptAfterMs = 60_000
const firstRetryMs = 500
const longestRetryMs = 30_000

/**
 * Keeps a copy of the first repository until the signal aborts: WAL within seconds whatever else is being copied, and
 * every backup as soon as it is listed. A place that fails, is full, or is gone for hours is tried again after growing
 * waits. Nothing here makes the first repository wait: it is only read.
 */
export async function runCopier(options: CopierOptions): Promise<void> {
  const { clock, signal } = options
  const progress = new CopyProgress(options.onStatus, options.remembered ?? {})
  const pace = openPacer(clock, options.bytesPerSecond)
  let waitMs = firstRetryMs
  while (!signal.aborted) {
    const before = progress.copiedBytes
    try {
      await using places = await options.open(signal)
      let keys: string | undefined
      for (;;) {
        const known = await readKnownNames(places.first.store, options.cluster, { signal })
        // A new data key is known only to who opens the repository again.
        if (signal.aborted || known.keys !== (keys ??= known.keys)) break
        await session(places, { ...options, progress, pace, known })
      }
    } catch (error) {
      if (signal.aborted) return
      progress.failed(error)
    }
    if (signal.aborted) return
    waitMs = progress.copiedBytes > before ? firstRetryMs : Math.min(longestRetryMs, waitMs * 2)
    await clock.sleep(waitMs * (0.75 + Math.random() / 2), { signal }).catch(() => undefined)
  }
}

/** Looks at everything once, copies what is missing, and follows the WAL meanwhile and afterwards. */
async function session(
  { first, copy }: OpenedRoute,
  options: CopierOptions & {
    readonly progress: CopyProgress
    readonly pace: CopyRoute['pace']
    readonly known: KnownNames
  },
): Promise<void> {
  const { cluster, clock, progress, pace, lookMs = defaultLookMs } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const route: CopyRoute = { first, copy, cluster, clock, pace, signal, onCopied: (object) => progress.copied(object) }
  const survey = await surveyCopy(first, copy, cluster, { signal })
  const plan = planCopy(survey)
  if (isDone(plan)) await assertTwoPlaces(first, copy, cluster, { signal })
  progress.begin(survey, plan)
  const onProblem = progress.problem.bind(progress)
  await copyKit(route, plan, { taken: survey.copy, onProblem })
  progress.settled(plan.kit)
  let bulkDone = false
  let rested = new AbortController()
  const bulk = copyBulk(route, plan, { taken: survey.copy, onProblem }).then(() => {
    bulkDone = true
    rested.abort()
  })
  const rest = async (): Promise<void> => {
    rested = new AbortController()
    if (options.woken !== undefined) void options.woken().then(() => rested.abort())
    await clock.sleep(lookMs, { signal: AbortSignal.any([signal, rested.signal]) }).catch(() => undefined)
    signal.throwIfAborted()
  }
  const follow = followWal(route, survey, plan, {
    progress,
    onProblem,
    known: options.known,
    isBulkDone: () => bulkDone,
    rest,
    surveyAfterMs: () => (progress.hasProblems ? surveyTroubleMs : surveyEveryMs),
    surveyPauseMs,
    interruptAfterMs,
  })
  try {
    // Whichever fails first ends both; what was not copied yet when everything is to be looked at anew comes after that.
    await Promise.race([follow, bulk.then(() => follow)])
  } finally {
    stop.abort(new Error('copying ended'))
    await Promise.allSettled([bulk, follow])
  }
}
