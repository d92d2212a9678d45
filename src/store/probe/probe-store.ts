import { randomBytes } from 'node:crypto'
import { describeBytes } from '../../std/byte-size.ts'
import type { Clock } from '../../std/clock.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { storeFaults } from '../faults.ts'
import type { ObjectStore } from '../object-store.ts'
import { bad, good, unknown, weak, type Finding } from './finding.ts'

const racers = 8
const races = 3
const samples = 5
const sampleBytes = 16 * 1024 * 1024

export interface ProbeOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Everything is created below this; the caller removes what is left of it. */
  readonly prefix: string
  /** False where the server decides nothing: then creators of this process wait for each other, and a race proves nothing. */
  readonly decides: boolean
  readonly onProgress: (what: string) => void
}

/** Asks a store, through the port, for everything that a repository relies on. One failed check never hides the others. */
export async function probeStore(store: ObjectStore, options: ProbeOptions): Promise<readonly Finding[]> {
  const checks: readonly (readonly [string, (store: ObjectStore, options: ProbeOptions) => Promise<Finding>])[] = [
    ['read after write', probeReadAfterWrite],
    ['create only if absent', probeCreateOnce],
    ['race of creators', probeRace],
    ['listing', probeListing],
    ['ranges', probeRanges],
    ['throughput', probeThroughput],
    ['latency', probeLatency],
    ['delete', probeDelete],
  ]
  const findings: Finding[] = []
  for (const [check, probe] of checks) {
    options.signal.throwIfAborted()
    options.onProgress(check)
    findings.push(await attempt(check, () => probe(store, options)))
  }
  return findings
}

/** What a check throws is its finding. */
export async function attempt(check: string, probe: () => Promise<Finding>): Promise<Finding> {
  try {
    return await probe()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const denied = error.code === storeFaults['store-access-denied'].code
    return denied ? unknown(check, `not allowed with these credentials (${error.message})`) : bad(check, error.message)
  }
}

async function probeReadAfterWrite(store: ObjectStore, { prefix, signal }: ProbeOptions): Promise<Finding> {
  const check = 'read after write'
  const body = randomBytes(4096)
  await store.create(`${prefix}/first`, body, { signal })
  const same = Buffer.compare(await store.read(`${prefix}/first`, { signal }), body) === 0
  if (!same) return bad(check, 'other bytes came back than were written')
  if ((await store.size(`${prefix}/first`, { signal })) !== body.length) return bad(check, 'its size is told wrongly')
  return good(check, 'what was written is there at once')
}

async function probeCreateOnce(store: ObjectStore, { prefix, signal }: ProbeOptions): Promise<Finding> {
  const check = 'create only if absent'
  const [first, second] = [randomBytes(100), randomBytes(100)]
  await store.create(`${prefix}/once`, first, { signal })
  const again = await store.create(`${prefix}/once`, second, { signal })
  const kept = Buffer.compare(await store.read(`${prefix}/once`, { signal }), first) === 0
  return again === 'exists' && kept
    ? good(check, 'the second of two creators is told so, and changes nothing')
    : bad(check, 'an object was replaced')
}

async function probeRace(store: ObjectStore, { prefix, signal, decides }: ProbeOptions): Promise<Finding> {
  const check = 'race of creators'
  if (!decides) return weak(check, 'not decided by the server: two processes could overwrite one another')
  for (let race = 0; race < races; race += 1) {
    const bodies = Array.from({ length: racers }, () => randomBytes(1000))
    const key = `${prefix}/race-${race}`
    const outcomes = await Promise.all(bodies.map((body) => store.create(key, body, { signal })))
    const winners = outcomes.filter((outcome) => outcome === 'created').length
    const winner = bodies[outcomes.indexOf('created')]
    const kept = winner !== undefined && Buffer.compare(await store.read(key, { signal }), winner) === 0
    if (winners !== 1 || !kept) return weak(check, `of ${racers} creators ${winners} were told that they had won`)
  }
  return good(check, `of ${racers} creators at once exactly one won, ${races} times`)
}

async function probeListing(store: ObjectStore, { prefix, signal }: ProbeOptions): Promise<Finding> {
  const check = 'listing'
  const names = ['a-b', 'a.b', 'a/c', 'a0', 'aa', 'b/1', 'b/A', 'b/a']
  for (const name of names.toReversed()) {
    await store.create(`${prefix}/list/${name}`, Buffer.from(name), { signal })
  }
  const found = (await Array.fromAsync(store.list(`${prefix}/list/`, { signal }))).map(({ key }) => key)
  const missing = names.filter((name) => !found.includes(`${prefix}/list/${name}`))
  if (missing.length > 0) return bad(check, `${missing.length} of ${names.length} new objects are not listed`)
  const sorted = found.every((key, index) => index === 0 || (found[index - 1] ?? '') < key)
  return sorted
    ? good(check, 'new objects are listed at once, in byte order')
    : bad(check, 'objects are not listed in byte order')
}

async function probeRanges(store: ObjectStore, { prefix, signal }: ProbeOptions): Promise<Finding> {
  const check = 'ranges'
  const body = randomBytes(10_000)
  await store.create(`${prefix}/ranges`, body, { signal })
  for (const [offset, length] of [
    [0, 1],
    [4_321, 1_234],
    [9_990, 100],
  ] as const) {
    const part = await store.readRange(`${prefix}/ranges`, offset, length, { signal })
    if (Buffer.compare(part, body.subarray(offset, offset + length)) !== 0) return bad(check, 'a part came back wrong')
  }
  return good(check, 'parts of objects come back exactly')
}

async function probeThroughput(store: ObjectStore, { prefix, signal, clock }: ProbeOptions): Promise<Finding> {
  const body = randomBytes(sampleBytes)
  const startedAt = clock.monotonic()
  await store.create(`${prefix}/throughput`, body, { signal })
  const writtenAt = clock.monotonic()
  const same = Buffer.compare(await store.read(`${prefix}/throughput`, { signal }), body) === 0
  const readAt = clock.monotonic()
  if (!same) return bad('throughput', 'other bytes came back than were written')
  const speed = (ms: number): number => (sampleBytes * 1000) / Math.max(ms, 0.001)
  const [writing, reading] = [speed(writtenAt - startedAt), speed(readAt - writtenAt)]
  const told = `one object at a time: writes ${describeBytes(writing)}/s, reads ${describeBytes(reading)}/s`
  return { check: 'throughput', outcome: 'fact', told, figure: Math.round(writing) }
}

async function probeLatency(store: ObjectStore, { prefix, signal, clock }: ProbeOptions): Promise<Finding> {
  const took: number[] = []
  for (let sample = 0; sample < samples; sample += 1) {
    const startedAt = clock.monotonic()
    await store.create(`${prefix}/latency-${sample}`, Buffer.from('x'), { signal })
    took.push(clock.monotonic() - startedAt)
  }
  const median = took.toSorted((a, b) => a - b)[Math.floor(samples / 2)] ?? 0
  return {
    check: 'latency',
    outcome: 'fact',
    told: `a small object takes ${describeElapsed(median)}`,
    figure: Math.round(median),
  }
}

async function probeDelete(store: ObjectStore, { prefix, signal }: ProbeOptions): Promise<Finding> {
  const check = 'delete'
  const key = `${prefix}/delete`
  await store.create(key, Buffer.from('x'), { signal })
  try {
    await store.delete(key, { signal })
  } catch (error) {
    if (!isFault(error, storeFaults['store-access-denied'])) throw error
    return weak(check, 'denied to these credentials: nobody who has them can delete, but expiry needs others')
  }
  if ((await store.size(key, { signal })) !== undefined) return bad(check, 'a deleted object is still there')
  const listed = await Array.fromAsync(store.list(key, { signal }))
  if (listed.length > 0) return bad(check, 'a deleted object is still listed')
  return good(check, 'a deleted object is gone at once')
}
