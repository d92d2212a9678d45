import { z } from 'zod'
import type { MemberEntry } from '../../cluster/core/keys.ts'
import type { EpochMs } from '../../std/clock.ts'
import { withDeadline } from '../../std/deadline.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import type { AgentAnswer } from './core/status-report.ts'

const patienceMs = 3000

const position = z
  .number()
  .nullish()
  .transform((lsn) => (lsn === null || lsn === undefined ? null : (BigInt(lsn) as Lsn)))

/** The part of an agent's answer that the status needs; `src/http/core/patroni-body.ts` writes it. */
const answerSchema = z.object({
  xlog: z.object({
    location: position,
    received_location: position,
    replayed_location: position,
    replayed_timestamp: z.string().nullish(),
  }),
  replication_state: z.string().optional(),
  replication: z.array(z.object({ application_name: z.string(), sync_state: z.string() })).default([]),
})

const copierSchema = z.object({
  state: z.string(),
  currentAt: z.string().nullable(),
  walCurrentAt: z.string().nullable(),
  backupsMissing: z.number().nullable(),
  missingBytes: z.object({ wal: z.number(), backups: z.number(), other: z.number() }).nullable(),
  problemCount: z.number(),
  problems: z.array(z.object({ subject: z.string(), message: z.string() })),
  error: z.object({ message: z.string() }).nullable(),
})

const detailsSchema = z.object({
  now: z.number().optional(),
  // An agent of an earlier version keeps no copies.
  copiers: z.record(z.string(), copierSchema).default({}),
  archivers: z.record(
    z.string(),
    z.object({
      state: z.string(),
      tailAgeMs: z.number(),
      timeline: z.number().nullable().default(null),
      durableLsn: z.string().nullable().default(null),
      saidAt: z.number().default(0),
      heardAt: z.number().nullable().default(null),
      caughtUpAt: z.number().nullable().default(null),
      bytesPerSecond: z.number().nullable().default(null),
      spoolBytes: z.number().nullable().default(null),
      spoolLimitBytes: z.number().nullable().default(null),
      gaps: z.array(z.object({ timeline: z.number(), startLsn: z.string(), endLsn: z.string() })),
      error: z.object({ message: z.string() }).nullable(),
    }),
  ),
})

/** Asks every agent at once. One that does not answer in time, or not as expected, says so in its place. */
export async function askAgents(
  members: readonly MemberEntry[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, AgentAnswer>> {
  const answers = await Promise.all(
    members.map(async (member): Promise<readonly [string, AgentAnswer]> => [member.node, await ask(member, signal)]),
  )
  signal.throwIfAborted()
  return new Map(answers)
}

async function ask(member: MemberEntry, signal: AbortSignal): Promise<AgentAnswer> {
  if (member.apiUrl === null) return { answered: false, because: 'it has no HTTP address' }
  const url = new URL('/primary', member.apiUrl)
  try {
    return await withDeadline(`ask ${url.host}`, patienceMs, signal, async (deadline) => {
      const [response, details] = await Promise.all([
        fetch(url, { signal: deadline }),
        fetch(new URL('/holdfast', url), { signal: deadline }).then((answer) => answer.json()),
      ])
      const { xlog, replication, replication_state } = answerSchema.parse(await response.json())
      const said = detailsSchema.safeParse(details).data
      return {
        answered: true,
        writable: response.status === 200,
        position: xlog.location,
        received: xlog.received_location,
        replayed: xlog.replayed_location,
        replayedAt: xlog.replayed_timestamp ? (Date.parse(xlog.replayed_timestamp) as EpochMs) : null,
        streaming: replication_state === 'streaming',
        now: (said?.now ?? null) as EpochMs | null,
        archivers: said?.archivers ?? null,
        copiers: said?.copiers ?? null,
        syncStates: Object.fromEntries(replication.map((row) => [row.application_name, row.sync_state])),
      }
    })
  } catch (error) {
    return { answered: false, because: error instanceof Error ? error.message : String(error) }
  }
}
