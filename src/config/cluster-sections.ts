import { z } from 'zod'
import { absolutePath, choice, duration, host, kind, port, setting, wholeNumber } from './setting.ts'

/** The agent's own HTTP server: health endpoints for load balancers and for `holdfast status`. */
export const apiSection = z
  .strictObject({
    address: setting(host().prefault('0.0.0.0'), {
      about: 'The address the HTTP server listens on.',
      change: 'restart',
    }),
    port: setting(port().prefault(8008), { about: 'The port the HTTP server listens on.', change: 'restart' }),
  })
  .prefault({})

/** Where the lease lives. One kind today; the others join this union. */
export const coordinatorSection = z.discriminatedUnion('type', [
  z.strictObject({
    type: setting(kind('embedded'), {
      about: '`embedded`: a database file shared by all nodes of one machine; needs no server.',
      change: 'fixed',
      example: 'embedded',
    }),
    file: setting(absolutePath(), {
      about: 'The database file, the same for every node of the cluster.',
      change: 'fixed',
      example: '/var/lib/holdfast/coordinator.db',
    }),
  }),
])

export const durabilitySection = z
  .strictObject({
    mode: setting(choice(['async', 'quorum', 'strict']).prefault('quorum'), {
      about:
        'What an acknowledged commit is worth. `async`: on the primary. `quorum`: also on standbys, as long as there are any. `strict`: always also on standbys, else writes wait.',
      change: 'restart',
    }),
    synchronousStandbys: setting(wholeNumber(1, 8).prefault(1), {
      about: 'How many standbys must have a commit on disk before it is acknowledged.',
      change: 'restart',
    }),
  })
  .prefault({})

/** How long a primary may go on without the coordinator. A shorter lease fails over faster and forgives less. */
export const leaseSection = z
  .strictObject({
    ttl: setting(duration('2s', '5m').prefault('5s'), {
      about: 'How long a lease lasts after its last renewal; a dead primary is noticed at the latest then.',
      change: 'restart',
    }),
    renew: setting(duration('100ms', '1m').prefault('500ms'), {
      about: 'How often the lease is renewed; at most a quarter of `lease.ttl`.',
      change: 'restart',
    }),
    stopAhead: setting(duration('500ms', '1m').prefault('1500ms'), {
      about: 'How long before the end of its lease a primary that cannot renew is asked to stop.',
      change: 'restart',
    }),
    killAhead: setting(duration('100ms', '30s').prefault('500ms'), {
      about: 'How long before the end of its lease a primary that has not stopped is killed.',
      change: 'restart',
    }),
  })
  .prefault({})
  .superRefine((lease, context) => {
    const expect = (holds: boolean, key: string, message: string): void => {
      if (!holds) context.addIssue({ code: 'custom', path: [key], message })
    }
    expect(lease.renew.ms * 4 <= lease.ttl.ms, 'renew', 'at most a quarter of lease.ttl')
    expect(lease.killAhead.ms < lease.stopAhead.ms, 'killAhead', 'less than lease.stopAhead')
    expect(
      lease.stopAhead.ms + 2 * lease.renew.ms <= lease.ttl.ms,
      'stopAhead',
      'at most lease.ttl less two renewals, else one slow renewal stops a healthy primary',
    )
  })
