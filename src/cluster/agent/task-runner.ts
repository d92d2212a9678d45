import type { Clock } from '../../std/clock.ts'
import type { TaskCommand } from '../core/decision.ts'
import type { TaskKind, TaskView } from '../core/view.ts'

/** Runs one long command at a time beside the cycles. */
export interface TaskRunner {
  readonly current: TaskView | null
  start(command: TaskCommand, work: (signal: AbortSignal) => Promise<void>): void
  /** Ends what can be begun again without loss: a clone, a rewind, a bootstrap. */
  abandon(): void
  /** Resolves when nothing runs any more. */
  idle(): Promise<void>
}

export interface TaskOutcome {
  readonly kind: TaskKind
  readonly error: unknown
}

export function createTaskRunner(clock: Clock, onEnd: (outcome: TaskOutcome) => void): TaskRunner {
  let current: (TaskView & { readonly controller: AbortController; readonly done: Promise<void> }) | null = null
  return {
    get current() {
      return current === null ? null : { kind: current.kind, since: current.since }
    },
    start: (command, work) => {
      const kind = command.command
      const controller = new AbortController()
      const ended = (error: unknown): void => {
        current = null
        onEnd({ kind, error })
      }
      const done = work(controller.signal).then(() => ended(undefined), ended)
      current = { kind, since: clock.monotonic(), controller, done }
    },
    abandon: () => {
      const droppable = current?.kind === 'clone' || current?.kind === 'rewind' || current?.kind === 'bootstrap'
      if (droppable) current?.controller.abort(new Error('the agent was asked to end'))
    },
    idle: async () => {
      await current?.done
    },
  }
}
