import { formatLsn, parseLsn } from './lsn.ts'
import type { Lsn, TimelineId } from './lsn.ts'

/**
 * How a timeline came to be: each promotion begins a new one at a point of its parent. Source: timeline.c. A timeline's
 * own entry is never in its file; timeline 1 has no file at all.
 */
export interface TimelineHistory {
  readonly timeline: TimelineId
  /** The ancestors, oldest first. */
  readonly ancestors: readonly Ancestor[]
}

export interface Ancestor {
  readonly timeline: TimelineId
  /** Where it ended, and the next one began. */
  readonly switchLsn: Lsn
  readonly reason: string
}

/** A timeline's stretch of the path: from `startLsn`, up to but without `endLsn`; the last one is open. */
export interface TimelineStretch {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly endLsn: Lsn | undefined
}

/** A position: how far someone is, and on which timeline. */
export interface WalPosition {
  readonly timeline: TimelineId
  readonly lsn: Lsn
}

/** The history of a first timeline, which has no file. */
export function firstTimelineHistory(timeline: TimelineId = 1 as TimelineId): TimelineHistory {
  return { timeline, ancestors: [] }
}

/** Reads the content of a `.history` file; `malformed` says what is wrong with it. */
export function parseTimelineHistory(
  timeline: TimelineId,
  text: string,
): { readonly history: TimelineHistory } | { readonly malformed: string } {
  const ancestors: Ancestor[] = []
  if (text !== '' && !text.endsWith('\n')) return { malformed: 'its last line is cut off' }
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue
    const match = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)(?:\s(.*))?$/.exec(line)
    const switchLsn = match === null ? undefined : parseLsn(match[2] ?? '')
    if (match === null || switchLsn === undefined) return { malformed: `the line ${JSON.stringify(line)} is no entry` }
    const parent = Number(match[1]) as TimelineId
    const before = ancestors.at(-1)
    if (parent === 0 || parent >= timeline) return { malformed: `timeline ${parent} cannot be a parent of ${timeline}` }
    if (before !== undefined && parent <= before.timeline) {
      return { malformed: `timeline ${parent} does not come after ${before.timeline}` }
    }
    if (before !== undefined && switchLsn < before.switchLsn) {
      return { malformed: `timeline ${parent} ends before it begins` }
    }
    ancestors.push({ timeline: parent, switchLsn, reason: match[3] ?? '' })
  }
  return { history: { timeline, ancestors } }
}

/** Writes a `.history` file exactly as the server does: an empty line before each entry but the first. */
export function formatTimelineHistory(history: TimelineHistory): string {
  return history.ancestors
    .map(({ timeline, switchLsn, reason }) => `${timeline}\t${formatLsn(switchLsn)}\t${reason}\n`)
    .join('\n')
}

/** The history of the timeline that begins when a server on this one is promoted at `switchLsn`. */
export function branchTimeline(
  history: TimelineHistory,
  timeline: TimelineId,
  switchLsn: Lsn,
  reason: string,
): TimelineHistory {
  return { timeline, ancestors: [...history.ancestors, { timeline: history.timeline, switchLsn, reason }] }
}

/** The timelines one walks along to reach this one, oldest first. */
export function timelinePath(history: TimelineHistory): readonly TimelineStretch[] {
  let startLsn = 0n as Lsn
  const stretches: TimelineStretch[] = history.ancestors.map(({ timeline, switchLsn }) => {
    const stretch = { timeline, startLsn, endLsn: switchLsn }
    startLsn = switchLsn
    return stretch
  })
  return [...stretches, { timeline: history.timeline, startLsn, endLsn: undefined }]
}

/** The timeline that the byte at an LSN was written on, on the way to this timeline. */
export function timelineAt(history: TimelineHistory, lsn: Lsn): TimelineId {
  const ended = history.ancestors.find(({ switchLsn }) => lsn < switchLsn)
  return ended?.timeline ?? history.timeline
}

/** Where a timeline was left on the way to this one; undefined when it was not, or is this one. */
export function switchPoint(history: TimelineHistory, timeline: TimelineId): Lsn | undefined {
  return history.ancestors.find((ancestor) => ancestor.timeline === timeline)?.switchLsn
}

/**
 * True when everything up to a position is part of this history, so that a server that is there can follow it: the
 * position is on this timeline, or on an ancestor and not past the point where it was left.
 */
export function containsPosition(history: TimelineHistory, position: WalPosition): boolean {
  if (position.timeline === history.timeline) return true
  const end = switchPoint(history, position.timeline)
  return end !== undefined && position.lsn <= end
}

/**
 * The last position that two histories share; undefined when they share no timeline. Two equal histories never part:
 * their fork lies beyond every LSN.
 */
export function forkPosition(a: TimelineHistory, b: TimelineHistory): WalPosition | undefined {
  const pathOfB = timelinePath(b)
  let fork: WalPosition | undefined
  for (const [index, stretch] of timelinePath(a).entries()) {
    const other = pathOfB[index]
    if (other?.timeline !== stretch.timeline || other.startLsn !== stretch.startLsn) break
    fork = { timeline: stretch.timeline, lsn: earlier(stretch.endLsn ?? openEnd, other.endLsn ?? openEnd) }
  }
  return fork
}

const openEnd = 0xffff_ffff_ffff_ffffn as Lsn

function earlier(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b
}
