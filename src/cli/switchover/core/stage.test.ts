import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemberEntry } from '../../../cluster/core/keys.ts'
import type { EpochMs } from '../../../std/clock.ts'
import type { AgentAnswer } from '../../status/core/status-report.ts'
import { switchoverStage } from './stage.ts'

const answer = (writable: boolean): AgentAnswer => ({
  answered: true,
  writable,
  position: null,
  received: null,
  replayed: null,
  replayedAt: null,
  streaming: false,
  syncStates: {},
  archivers: null,
  copiers: null,
})

const request = { id: 'r', from: 'n1', to: null, requestedAt: 0 as EpochMs }
const member = (state: string): MemberEntry => ({ node: 'n1', role: 'standby', state }) as unknown as MemberEntry

/** [leader, writable, request still there, state of the old leader] → stage. */
const cases: readonly (readonly [string | null, boolean, boolean, string, string])[] = [
  ['n1', true, true, 'running', 'requested'],
  ['n1', false, true, 'running', 'requested'],
  ['n1', true, false, 'running', 'called-off'],
  ['n1', false, false, 'stopped', 'released'],
  [null, false, true, 'stopped', 'released'],
  [null, false, false, 'stopped', 'released'],
  ['n2', false, false, 'stopped', 'acquired'],
  ['n2', true, false, 'stopped', 'writable'],
  ['n2', true, false, 'rewinding', 'writable'],
  ['n2', true, false, 'streaming', 'redundant'],
]

for (const [leader, writable, asked, oldState, expected] of cases) {
  test(`leader ${leader}, ${writable ? '' : 'not '}writable, request ${asked ? 'open' : 'gone'}, old ${oldState}: ${expected}`, () => {
    const entries = {
      leader: leader === null ? null : { node: leader, term: 1 },
      state: null,
      members: [member(oldState)],
      switchover: asked ? request : null,
      pause: null,
    }
    const answers = new Map(leader === null ? [] : [[leader, answer(writable)]])
    assert.equal(switchoverStage({ id: 'r', from: 'n1', entries, answers }).stage, expected)
  })
}
