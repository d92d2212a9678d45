import { elect } from '../../../cluster/core/election.ts'
import type { LeaderEntry, MemberEntry, PauseEntry, StateEntry, SwitchoverEntry } from '../../../cluster/core/keys.ts'
import { jobProblems } from '../../../schedule/core/report-jobs.ts'
import type { JobReport } from '../../../schedule/core/report-jobs.ts'
import type { EpochMs, MonotonicMs } from '../../../std/clock.ts'
import { formatLsn } from '../../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'
import { copierProblems, copyLag } from './copy-lag.ts'

/** What the coordinator says. */
export interface ClusterEntries {
  readonly leader: LeaderEntry | null
  readonly state: StateEntry | null
  readonly members: readonly MemberEntry[]
  readonly switchover: SwitchoverEntry | null
  readonly pause: PauseEntry | null
}

/** What an agent answered over HTTP, or why it did not. */
export type AgentAnswer =
  | {
      readonly answered: true
      /** It answers 200 on `/primary`: its lease holds and its term is committed. */
      readonly writable: boolean
      readonly position: Lsn | null
      readonly received: Lsn | null
      readonly replayed: Lsn | null
      readonly replayedAt: EpochMs | null
      readonly streaming: boolean
      /** The state of each connected standby as the primary counts it: `quorum`, `async`, … */
      readonly syncStates: Readonly<Record<string, string>>
      /** Its clock, which the times of its archivers are by; null when it did not say. */
      readonly now?: EpochMs | null
      /** The archivers it runs, by repository; null when it did not say. */
      readonly archivers: Readonly<Record<string, ArchiverAnswer>> | null
      /** The copiers it runs, by the copy they keep; null when it did not say. */
      readonly copiers: Readonly<Record<string, CopierAnswer>> | null
    }
  | { readonly answered: false; readonly because: string }

/** What an archiver last said of itself. */
export interface ArchiverAnswer {
  readonly state: string
  readonly tailAgeMs: number
  readonly timeline?: number | null
  readonly durableLsn?: string | null
  readonly saidAt?: number
  readonly heardAt?: number | null
  readonly caughtUpAt?: number | null
  readonly bytesPerSecond?: number | null
  readonly spoolBytes?: number | null
  readonly spoolLimitBytes?: number | null
  readonly gaps: readonly { readonly timeline: number; readonly startLsn: string; readonly endLsn: string }[]
  readonly error: { readonly message: string } | null
}

/** What a copier last said of itself. */
export interface CopierAnswer {
  readonly state: string
  readonly currentAt: string | null
  readonly walCurrentAt: string | null
  readonly backupsMissing: number | null
  readonly missingBytes: { readonly wal: number; readonly backups: number; readonly other: number } | null
  readonly problemCount: number
  readonly problems: readonly { readonly subject: string; readonly message: string }[]
  readonly error: { readonly message: string } | null
}

/** What verifications of a repository have proven, and what they last came to. */
export interface ProofReport {
  /** The highest level that was ever proven, the last time it was. */
  readonly lastProven: {
    readonly level: number
    readonly at: EpochMs
    readonly backup: string
    readonly provenTime: EpochMs | null
  } | null
  readonly provenAt: Readonly<Record<number, EpochMs | null>>
  readonly lastVerification: {
    readonly at: EpochMs
    readonly backup: string
    readonly outcome: 'passed' | 'doubtful' | 'incomplete' | 'failed'
    readonly requested: number
    readonly proven: number | null
  } | null
  readonly lastKeyTest: { readonly at: EpochMs; readonly passed: boolean } | null
}

/** A repository as far as it could be read. */
export type RepositoryReport =
  | { readonly name: string; readonly copyOf: string | null; readonly readable: false; readonly because: string }
  | {
      readonly name: string
      /** The first repository, where this is a copy of it. */
      readonly copyOf: string | null
      readonly readable: true
      readonly backups: number
      readonly damaged: readonly string[]
      readonly last: {
        readonly id: string
        readonly startedAt: EpochMs
        readonly stoppedAt: EpochMs
        readonly dataBytes: number
      } | null
      readonly proofs: ProofReport
      /** End of the WAL stored without a gap on the cluster's timeline. */
      readonly archivedTo: Lsn | null
      /** WAL on record as lost, behind which there is no backup yet. */
      readonly gaps?: readonly { readonly timeline: number; readonly startLsn: Lsn; readonly endLsn: Lsn }[]
    }

export interface StatusFacts {
  readonly cluster: string
  readonly now: EpochMs
  readonly entries: ClusterEntries
  readonly answers: ReadonlyMap<string, AgentAnswer>
  readonly repositories: readonly RepositoryReport[]
  readonly jobs: readonly JobReport[]
  /** Why it is not known what has become of the jobs; null when it is. */
  readonly jobsUnreadable: string | null
}

/** `unknown` and null stand for what was not observed: nothing here is assumed (L11). */
export interface StatusReport {
  readonly cluster: string
  readonly verdict: 'healthy' | 'degraded' | 'down'
  /** Everything that keeps the verdict from being `healthy`, most important first. */
  readonly problems: readonly string[]
  readonly term: number | null
  readonly leader: string | null
  readonly acceptsWrites: boolean | 'unknown'
  readonly durability: {
    readonly mode: StateEntry['mode']
    readonly voters: readonly string[]
    readonly degraded: StateEntry['degraded']
  } | null
  readonly next: { readonly node: string | null; readonly because: string }
  readonly pause: PauseEntry | null
  readonly switchover: SwitchoverEntry | null
  readonly nodes: readonly NodeReport[]
  readonly repositories: readonly ArchivedRepository[]
  readonly jobs: readonly JobReport[]
}

export type ArchivedRepository = RepositoryReport & {
  /** How much of the leader's WAL is not in the repository. */
  readonly tailBytes: number | null
  /** Null when the leader's agent did not say. */
  readonly archiver: ArchiverAnswer | 'none' | null
  /** Null for the first repository, which nobody copies to, and when the leader's agent did not say. */
  readonly copier: CopierAnswer | 'none' | null
  /** How far behind the first repository a copy is; null when that is not known. */
  readonly lag: CopyLag | null
}

export interface CopyLag {
  /** Since when WAL was last all there; 0 when it is. Losing everything but the copy costs as much. */
  readonly walMs: number | null
  /** The same of everything, backups and dumps included. */
  readonly allMs: number | null
  readonly bytes: number | null
  readonly backups: number | null
}

export interface NodeReport {
  readonly name: string
  readonly role: 'leader' | 'standby' | 'none' | 'gone'
  readonly state: string
  readonly timeline: TimelineId | null
  readonly lsn: Lsn | null
  readonly lagBytes: number | null
  readonly lagMs: number | null
  readonly sync: string | null
  readonly agent: 'answers' | 'silent' | 'unknown'
  readonly address: string | null
  readonly site: string | null
  readonly trouble: string | null
}

export function reportStatus(facts: StatusFacts): StatusReport {
  const { entries, cluster } = facts
  const leader = entries.leader?.node ?? null
  const leaderLsn = leaderPosition(facts)
  const nodes = nodeReports(facts, leaderLsn)
  const acceptsWrites = leader === null ? false : writable(facts.answers.get(leader))
  const next = nextLeader(entries)
  const spoken = leader === null ? undefined : facts.answers.get(leader)
  const { archivers, copiers } = spoken?.answered === true ? spoken : { archivers: null, copiers: null }
  const repositories = facts.repositories.map((repository): ArchivedRepository => {
    const archivedTo = repository.readable ? repository.archivedTo : null
    const { name, copyOf } = repository
    const archiver = archivers === null || copyOf !== null ? null : (archivers[name] ?? 'none')
    const copier = copiers === null || copyOf === null ? null : (copiers[name] ?? 'none')
    const lag = copier === null || copier === 'none' ? null : copyLag(copier, facts.now)
    return { ...repository, tailBytes: distance(leaderLsn, archivedTo), archiver, copier, lag }
  })
  const blocking = blockingProblems(entries, leader, acceptsWrites)
  const problems = [
    ...blocking,
    ...lesserProblems(facts, nodes, acceptsWrites, next.node),
    ...repositories.flatMap(repositoryProblems),
    ...(facts.jobsUnreadable === null ? [] : [`what has become of the jobs cannot be read: ${facts.jobsUnreadable}`]),
    ...facts.jobs.flatMap((job) => jobProblems(job, (moment) => describeMoment(moment, facts.now))),
  ]
  return {
    cluster,
    verdict: blocking.length > 0 ? 'down' : problems.length > 0 ? 'degraded' : 'healthy',
    problems,
    term: entries.state?.term ?? null,
    leader,
    acceptsWrites,
    durability: entries.state && {
      mode: entries.state.mode,
      voters: entries.state.voters.names,
      degraded: entries.state.degraded,
    },
    next,
    pause: entries.pause,
    switchover: entries.switchover,
    nodes,
    repositories,
    jobs: facts.jobs,
  }
}

/** Who would take over if the leader went away now, asked of the very function that decides it. */
export function nextLeader(entries: ClusterEntries): StatusReport['next'] {
  const { state, leader } = entries
  if (state === null) return { node: null, because: 'the cluster does not exist yet' }
  const survivors = entries.members
    .filter((member) => member.node !== leader?.node && member.role === 'standby')
    .map((member) => ({ ...member, frozenForTerm: state.term }))
  if (survivors.length === 0) return { node: null, because: 'there is no standby' }
  const now = 0 as MonotonicMs
  const outcomes = survivors.map((member) => ({
    node: member.node,
    ...elect({ now, self: member.node, state, members: survivors, leaderAbsentSince: now }),
  }))
  const winner = outcomes.find(({ outcome }) => outcome === 'stand')
  if (winner !== undefined) return { node: winner.node, because: winner.text }
  return { node: null, because: outcomes.map(({ node, text }) => `${node}: ${text}`).join('; ') }
}

function blockingProblems(
  entries: ClusterEntries,
  leader: string | null,
  acceptsWrites: boolean | 'unknown',
): readonly string[] {
  if (entries.state === null) return ['the cluster does not exist yet: no node has founded it']
  if (leader === null) return ['there is no leader: nobody holds the lease']
  return acceptsWrites === false ? [`the leader ${leader} does not accept writes (yet)`] : []
}

function lesserProblems(
  facts: StatusFacts,
  nodes: readonly NodeReport[],
  acceptsWrites: boolean | 'unknown',
  next: string | null,
): readonly string[] {
  const { state, pause, leader } = facts.entries
  const problems: string[] = []
  if (acceptsWrites === 'unknown') {
    problems.push(`the agent of the leader does not answer, so whether it accepts writes is not known`)
  }
  if (state?.degraded) problems.push(`durability is reduced: ${state.degraded.because}`)
  if (pause !== null) problems.push(`automatic failover is paused: ${pause.because}`)
  if (leader !== null && next === null) problems.push('nobody could take over from the leader now')
  for (const node of nodes) {
    if (node.trouble !== null) problems.push(`${node.name}: ${node.trouble}`)
    else if (node.role === 'gone') problems.push(`${node.name} is gone: its agent has not renewed its entry`)
    else if (node.agent === 'silent') problems.push(`the agent of ${node.name} does not answer over HTTP`)
    else if (node.role !== 'leader' && node.state !== 'streaming') problems.push(`${node.name} is ${node.state}`)
  }
  return problems
}

function repositoryProblems(repository: ArchivedRepository): readonly string[] {
  const { name, archiver, copyOf } = repository
  const archiving = copyOf === null ? archiverProblems(name, archiver) : copierProblems(repository)
  if (!repository.readable) return [`repository ${name} cannot be read: ${repository.because}`, ...archiving]
  const lost = (repository.gaps ?? [])
    .map((gap) => ({ ...gap, startLsn: formatLsn(gap.startLsn), endLsn: formatLsn(gap.endLsn) }))
    .map((gap) => describeGap(name, gap))
    .filter((text) => !archiving.includes(text))
  const damaged = repository.damaged.map((id) => `repository ${name}: backup ${id} is damaged`)
  const none = repository.last === null ? [`repository ${name} holds no backup yet`] : []
  return [...proofProblems(name, repository.proofs), ...damaged, ...lost, ...archiving, ...none]
}

function proofProblems(name: string, { lastVerification, lastKeyTest }: ProofReport): readonly string[] {
  const problems: string[] = []
  if (lastVerification?.outcome === 'failed') {
    const { backup, requested } = lastVerification
    problems.push(`repository ${name}: the last verification found backup ${backup} broken (level ${requested})`)
  }
  if (lastKeyTest?.passed === false) {
    problems.push(`repository ${name}: a configured key did not pass the last test (\`holdfast keys test\`)`)
  }
  return problems
}

function archiverProblems(name: string, archiver: ArchivedRepository['archiver']): readonly string[] {
  if (archiver === null) return []
  if (archiver === 'none') return [`repository ${name}: no archiver runs, so WAL does not reach it`]
  const { state, gaps, error } = archiver
  const holes = gaps.map((gap) => describeGap(name, gap))
  if (error !== null) return [...holes, `repository ${name}: the archiver is ${state}: ${error.message}`]
  return state === 'streaming' ? holes : [...holes, `repository ${name}: the archiver is ${state}`]
}

function describeGap(
  name: string,
  { timeline, startLsn, endLsn }: { readonly timeline: number; readonly startLsn: string; readonly endLsn: string },
): string {
  return `repository ${name}: WAL from ${startLsn} to ${endLsn} of timeline ${timeline} is lost to it; take a new backup`
}

function nodeReports(facts: StatusFacts, leaderLsn: Lsn | null): readonly NodeReport[] {
  const { members, state, leader } = facts.entries
  const present = members.map((member) => nodeReport(facts, member, leaderLsn))
  const expected = new Set([...(state?.voters.names ?? []), ...(state === null ? [] : [state.leader])])
  if (leader !== null) expected.add(leader.node)
  const gone = [...expected].filter((name) => members.every((member) => member.node !== name)).map(goneNode)
  return [...present, ...gone].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function nodeReport(facts: StatusFacts, member: MemberEntry, leaderLsn: Lsn | null): NodeReport {
  const answer = facts.answers.get(member.node)
  const leads = facts.entries.leader?.node === member.node
  const standby = !leads && member.role === 'standby'
  const received = answer?.answered === true ? (answer.received ?? member.flushLsn) : member.flushLsn
  const own = answer?.answered === true ? (answer.position ?? member.flushLsn) : member.flushLsn
  return {
    name: member.node,
    role: leads ? 'leader' : standby ? 'standby' : 'none',
    state: member.state,
    timeline: member.timeline,
    lsn: standby ? received : own,
    lagBytes: standby ? distance(leaderLsn, received) : null,
    lagMs: standby ? lagMs(facts.now, answer, leaderLsn) : null,
    sync: standby ? syncState(facts, member.node) : null,
    agent: answer === undefined ? 'unknown' : answer.answered ? 'answers' : 'silent',
    address: `${member.host}:${member.port}`,
    site: member.site,
    trouble: member.trouble,
  }
}

function goneNode(name: string): NodeReport {
  const nothing = { timeline: null, lsn: null, lagBytes: null, lagMs: null, sync: null, address: null, site: null }
  return { name, role: 'gone', state: 'unknown', agent: 'unknown', trouble: null, ...nothing }
}

/** Age of the last replayed commit, unless everything has been replayed: then nothing is late. */
function lagMs(now: EpochMs, answer: AgentAnswer | undefined, leaderLsn: Lsn | null): number | null {
  if (answer?.answered !== true || answer.replayed === null) return null
  if (leaderLsn !== null && answer.replayed >= leaderLsn) return 0
  // An idle primary commits nothing for long, so the age of the last commit says nothing when all of it is replayed.
  if (answer.streaming && answer.received !== null && answer.replayed >= answer.received) return 0
  return answer.replayedAt === null ? null : Math.max(0, now - answer.replayedAt)
}

function syncState(facts: StatusFacts, node: string): string | null {
  const leader = facts.entries.leader?.node
  const answer = leader === undefined ? undefined : facts.answers.get(leader)
  return answer?.answered === true ? (answer.syncStates[node] ?? 'not connected') : null
}

function leaderPosition(facts: StatusFacts): Lsn | null {
  const name = facts.entries.leader?.node
  const answer = name === undefined ? undefined : facts.answers.get(name)
  if (answer?.answered === true && answer.position !== null) return answer.position
  return facts.entries.members.find((member) => member.node === name)?.flushLsn ?? null
}

function writable(answer: AgentAnswer | undefined): boolean | 'unknown' {
  return answer?.answered === true ? answer.writable : 'unknown'
}

function distance(ahead: Lsn | null, behind: Lsn | null): number | null {
  if (ahead === null || behind === null) return null
  return ahead > behind ? Number(ahead - behind) : 0
}

function describeMoment(moment: EpochMs, now: EpochMs): string {
  const at = new Date(moment).toISOString().replace(/\.\d+Z$/, 'Z')
  const hours = Math.round(Math.max(0, now - moment) / 3_600_000)
  return hours === 0 ? at : `${at}, ${hours} h ago`
}
