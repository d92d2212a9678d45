import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EpochMs } from '../../../std/clock.ts'
import { describeLag } from '../describe-lag.ts'
import { copierProblems, copyLag } from './copy-lag.ts'
import type { ArchivedRepository, CopierAnswer } from './status-report.ts'

const now = 1_700_000_000_000 as EpochMs
const ago = (ms: number): string => new Date(now - ms).toISOString()

function copier(change: Partial<CopierAnswer> = {}): CopierAnswer {
  return {
    state: 'current',
    currentAt: ago(2000),
    walCurrentAt: ago(2000),
    backupsMissing: 0,
    missingBytes: { wal: 0, backups: 0, other: 0 },
    problemCount: 0,
    problems: [],
    error: null,
    ...change,
  }
}

function problemsOf(answer: ArchivedRepository['copier']): readonly string[] {
  const lag = answer === null || answer === 'none' ? null : copyLag(answer, now)
  return copierProblems({ name: 'offsite', copier: answer, lag })
}

test('a copy that has everything is not behind, whatever the second', () => {
  assert.deepEqual(copyLag(copier(), now), { walMs: 0, allMs: 0, bytes: 0, backups: 0 })
  assert.deepEqual(problemsOf(copier()), [])
})

test('a backup under way leaves the WAL current; trouble makes it older and older', () => {
  const busy = copier({
    state: 'copying',
    currentAt: ago(7_200_000),
    backupsMissing: 1,
    missingBytes: { wal: 0, backups: 5 << 20, other: 0 },
  })
  assert.equal(describeLag(copyLag(busy, now)), 'WAL is there, 1 backup and 5.0 MB missing')
  assert.deepEqual(problemsOf(busy), [])
  const failing = copier({ state: 'retrying', walCurrentAt: ago(90_000), error: { message: 'Cannot open the store' } })
  assert.equal(copyLag(failing, now).walMs, 90_000)
  assert.deepEqual(problemsOf(failing).length, 2)
})

test('L11: what a copier that hangs said long ago is no proof that the copy is current', () => {
  const { walMs, allMs } = copyLag(copier({ currentAt: ago(300_000), walCurrentAt: ago(300_000) }), now)
  assert.deepEqual([walMs, allMs], [300_000, 300_000])
  assert.deepEqual(copyLag(copier({ currentAt: null, walCurrentAt: null }), now).walMs, null)
})

test('no copier, and objects that cannot be copied, are problems', () => {
  assert.match(problemsOf('none').join(), /no copier runs/)
  assert.deepEqual(problemsOf(null), [], 'not known is not a claim')
  const problems = [1, 2, 3, 4].map((n) => ({ subject: `main/wal/${n}`, message: 'damaged' }))
  assert.deepEqual(
    problemsOf(copier({ state: 'incomplete', problemCount: 9, problems })).at(-1),
    'repository offsite: 6 more of this kind',
  )
})
