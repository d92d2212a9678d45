import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import { isFault } from '../../std/fault.ts'
import { decide } from '../core/decide.ts'
import type { Decision } from '../core/decision.ts'
import type { MemberEntry } from '../core/keys.ts'
import { differsInSubstance, memberEntry } from '../core/member-entry.ts'
import type { NodeStatus } from '../core/node-status.ts'
import { clusterFaults } from '../faults.ts'
import type { AgentContext } from './agent-context.ts'
import { createCompanion } from './companion.ts'
import type { Companion } from './companion.ts'
import { publishMember } from './coordinator-writes.ts'
import { executeInstant, executeTask, isTask } from './execute.ts'
import { nodeStatus } from './node-status.ts'
import { observe } from './observe.ts'
import type { Observation } from './observe.ts'
import type { RingFile } from './ring-file.ts'
import { createTaskRunner } from './task-runner.ts'
import type { TaskOutcome, TaskRunner } from './task-runner.ts'
import type { Wakeup } from './wakeup.ts'

const afterErrorMs = 100
/** How long an agent that was asked to end tries to end in good order. */
const leaveLimitMs = 90_000

/** Observes, decides and acts, one cycle at a time, whenever something happened and at the latest when it was planned. */
export class AgentLoop {
  readonly #context: AgentContext
  readonly #ring: RingFile
  readonly #wakeup: Wakeup
  readonly #tasks: TaskRunner
  readonly #companion: Companion
  #last: Observation | null = null
  #lastReasons = ''
  #published: { readonly entry: MemberEntry; readonly lease: string | null; readonly at: MonotonicMs } | null = null
  #coordinatorSeenAt: EpochMs | null = null
  #leavingSince: MonotonicMs | null = null

  constructor(context: AgentContext, ring: RingFile, wakeup: Wakeup) {
    this.#context = context
    this.#ring = ring
    this.#wakeup = wakeup
    this.#tasks = createTaskRunner(context.options.clock, (outcome) => this.#taskEnded(outcome))
    this.#companion = createCompanion(context.options.whileLeading, context.options.log)
  }

  get ranAsPrimary(): boolean {
    return this.#last?.view.server.status === 'primary'
  }

  get starting(): boolean {
    return this.#tasks.current?.kind === 'start'
  }

  status(): NodeStatus {
    return nodeStatus(this.#context, this.#last, this.#coordinatorSeenAt)
  }

  /** Runs until the signal aborts and everything of this node has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const { options, keys, keeper, fencer, facts, prover, events } = this.#context
    const watching = new AbortController()
    const watch = this.#watch(keys.prefix, watching.signal)
    const leave = (): void => {
      this.#leavingSince = options.clock.monotonic()
      this.#tasks.abandon()
      this.#wakeup.wake()
    }
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    while (!this.#left()) {
      const waitMs = await this.#cycle()
      if (this.#left()) break
      await this.#wakeup.sleep(waitMs)
    }
    await this.#tasks.idle()
    await this.#companion.stop()
    await prover.stop()
    await facts.close()
    watching.abort()
    await watch
    await fencer()
      .shutdown({ mode: 'fast', thenKillAfterMs: 10_000 })
      .catch((error: unknown) => options.log.error('the fencer did not end', { error }))
    await keeper.release().catch(() => undefined)
    await keeper.leave().catch(() => undefined)
    events.note('agent-ended')
  }

  #left(): boolean {
    const since = this.#leavingSince
    if (since === null) return false
    const { keeper, options } = this.#context
    if (options.clock.monotonic() - since > leaveLimitMs) return true
    const { view } = this.#last ?? {}
    return view?.self.leaving === true && view.server.status === 'stopped' && keeper.held === null && view.task === null
  }

  /** One look, one decision, its commands; gives back how long to wait. Never rejects. */
  async #cycle(): Promise<number> {
    const { options, events } = this.#context
    const { clock, log } = options
    try {
      const observation = await observe(this.#context, this.#tasks.current, this.#leavingSince !== null)
      this.#last = observation
      if (observation.reading !== null) this.#coordinatorSeenAt = clock.wall()
      const decision = decide(observation.view)
      this.#record(observation, decision)
      this.#accompany(observation)
      await this.#admitMembers(observation)
      await this.#publish(observation, decision)
      const done = await this.#execute(observation, decision)
      return done ? Math.max(0, decision.wakeAt - clock.monotonic()) : afterErrorMs
    } catch (error) {
      log.error('a cycle failed', { error })
      events.note('cycle-failed', { message: error instanceof Error ? error.message : String(error) })
      return afterErrorMs
    }
  }

  #record({ view }: Observation, decision: Decision): void {
    const { events } = this.#context
    const { log } = this.#context.options
    this.#ring.record(view, decision)
    const reasons = decision.because.map(({ rule, text }) => `${rule} ${text}`).join('; ')
    const rules = decision.because.map(({ rule }) => rule).join(',')
    if (rules === this.#lastReasons) return
    this.#lastReasons = rules
    const commands = decision.commands.map(({ command }) => command).join(',')
    events.note('decided', { because: reasons, commands })
    log.info('decided', { because: reasons, commands })
  }

  async #execute(observation: Observation, decision: Decision): Promise<boolean> {
    const { events } = this.#context
    const { log } = this.#context.options
    for (const command of decision.commands) {
      try {
        if (isTask(command)) {
          this.#tasks.start(command, (signal) => executeTask(this.#context, command, observation, signal))
        } else {
          await executeInstant(this.#context, command, observation)
        }
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        if (isFault(error, clusterFaults['cluster-coordinator-changed'])) log.info('overtaken', { message })
        else log.warn('a command failed', { command: command.command, error })
        events.note('command-failed', { command: command.command, message })
        return false
      }
    }
    return true
  }

  #taskEnded({ kind, error }: TaskOutcome): void {
    const { options, memory, events } = this.#context
    if (error !== undefined) {
      const message = error instanceof Error ? error.message : 'unknown'
      memory.noteFailure(kind, options.clock.monotonic(), error)
      events.note('task-failed', { kind, message })
      options.log.warn('a task failed', { kind, error })
    }
    void this.#context.learnDataDirectory().then(() => this.#wakeup.wake())
  }

  /** Tells the others what changed at once, and how far WAL has moved with every renewal. */
  async #publish({ view }: Observation, decision: Decision): Promise<void> {
    const { options, keeper } = this.#context
    if (view.coordinator.status !== 'read') return
    const entry = memberEntry(view, decision)
    const last = this.#published
    const same = last !== null && last.lease === keeper.memberLease && !differsInSubstance(last.entry, entry)
    const fresh = last !== null && view.now - last.at < options.lease.renewMs
    const unmoved = last?.entry.flushLsn === entry.flushLsn && last.entry.replayLsn === entry.replayLsn
    if (same && (fresh || unmoved)) return
    await publishMember(this.#context, entry)
    this.#published = { entry, lease: keeper.memberLease, at: view.now }
  }

  /** Lets members that are new to this node connect to its server. */
  async #admitMembers({ view }: Observation): Promise<void> {
    const { configuration } = this.#context
    if (view.coordinator.status !== 'read' || view.task !== null) return
    const running = view.server.status === 'primary' || view.server.status === 'standby'
    if (!configuration.noteMembers(view.coordinator.cluster.members.map((member) => member.host)) || !running) return
    await configuration.writeAuthentication()
    await configuration.reload()
  }

  #accompany({ view }: Observation): void {
    const { memory, keeper } = this.#context
    const term = keeper.held?.term ?? null
    const leads = term !== null && memory.writableTerm === term && view.server.status === 'primary'
    const data = view.data.status === 'present' ? view.data : undefined
    if (!leads || data === undefined || view.self.leaving) return this.#companion.update(null)
    this.#companion.update({ term, timeline: data.lineage.timeline, systemIdentifier: data.systemIdentifier })
  }

  async #watch(prefix: string, signal: AbortSignal): Promise<void> {
    const { options } = this.#context
    while (!signal.aborted) {
      try {
        for await (const _ of options.coordinator.watch(prefix, { signal })) this.#wakeup.wake()
      } catch (error) {
        if (signal.aborted) return
        options.log.warn('the coordinator cannot be watched', { error })
        await options.clock.sleep(afterErrorMs, { signal }).catch(() => undefined)
      }
    }
  }
}
