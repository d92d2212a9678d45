import type { MonotonicMs } from '../../std/clock.ts'

/** A lease as its holder counts it: from the moment the grant or renewal was sent, on the monotonic clock. */
export interface HeldLease {
  readonly term: number
  readonly deadline: MonotonicMs
}

/** How far the holder's clock may run slower than the coordinator's over one lease: 2 %, at least 50 ms. */
export function driftMarginMs(ttlMs: number): number {
  return Math.max(50, ttlMs / 50)
}

/** Until when a lease holds for certain, given that its grant or renewal was sent at `sentAt` and later confirmed. */
export function leaseDeadline(sentAt: MonotonicMs, ttlMs: number): MonotonicMs {
  return (sentAt + ttlMs - driftMarginMs(ttlMs)) as MonotonicMs
}

/** True while the holder may act as the leader. */
export function leaseHolds<Lease extends HeldLease>(lease: Lease | null, now: MonotonicMs): lease is Lease {
  return lease !== null && now < lease.deadline
}
