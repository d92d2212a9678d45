import type { Clock } from '../../std/clock.ts'

/** One line of the demo: a check that was really made, with the figure that it measured. */
export interface DemoCheck {
  readonly chapter: string
  readonly title: string
  readonly passed: boolean
  /** What was measured, or why the check failed. */
  readonly figure: string
  readonly tookMs: number
}

/**
 * Makes checks and remembers them. A check that throws has failed with the error's message; the demo goes on with the
 * next one, so that one failure does not hide another, unless nothing further can work ({@link CheckList.required}).
 */
export interface CheckList {
  readonly checks: readonly DemoCheck[]
  chapter(title: string): void
  /** Runs a check that gives its figure; `undefined` when it failed. */
  check<Result extends CheckResult>(title: string, work: () => Promise<Result>): Promise<Result | undefined>
  /** The same, but a failure ends the demo. */
  required<Result extends CheckResult>(title: string, work: () => Promise<Result>): Promise<Result>
}

export interface CheckResult {
  readonly figure: string
}

/** Ends the demo after a required check has failed; the failure itself has been reported. */
export class DemoEnded extends Error {}

export interface CheckListener {
  chapter(title: string): void
  started(title: string): void
  done(check: DemoCheck): void
}

export function createCheckList(clock: Clock, signal: AbortSignal, listener: CheckListener): CheckList {
  const checks: DemoCheck[] = []
  let chapter = ''

  async function make<Result extends CheckResult>(
    title: string,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    signal.throwIfAborted()
    listener.started(title)
    const startedAt = clock.monotonic()
    const finish = (passed: boolean, figure: string): void => {
      const check = { chapter, title, passed, figure, tookMs: Math.round(clock.monotonic() - startedAt) }
      checks.push(check)
      listener.done(check)
    }
    try {
      const result = await work()
      finish(true, result.figure)
      return result
    } catch (error) {
      signal.throwIfAborted()
      finish(false, error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  return {
    checks,
    chapter: (title) => {
      chapter = title
      listener.chapter(title)
    },
    check: make,
    required: async (title, work) => {
      const result = await make(title, work)
      if (result === undefined) throw new DemoEnded(title)
      return result
    },
  }
}
