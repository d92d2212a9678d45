import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Clock, MonotonicMs } from '../../std/clock.ts'
import { Fault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { errorDocument, formatError } from './error-block.ts'
import { openOutput } from './output.ts'
import { openProgressLine } from './progress-line.ts'
import { formatTable } from './table.ts'

describe('an error', () => {
  const cause = new Error('read ECONNRESET', { cause: new Error('cable cut') })
  const fault = new Fault(stdFaults['deadline-passed'], 'Cannot ask n2: no answer', { cause })

  test('that was expected is one block: what, because, hint, code', () => {
    assert.deepEqual(formatError(fault), {
      text: [
        'Cannot ask n2: no answer',
        '  because: read ECONNRESET',
        '  because: cable cut',
        `  hint: ${fault.hint}`,
        '  (deadline-passed)',
      ].join('\n'),
      exitCode: 7,
    })
    const document = errorDocument(fault) as { error: { code: string; causes: string[] }; exitCode: number }
    assert.deepEqual(
      [document.error.code, document.error.causes, document.exitCode],
      ['deadline-passed', ['read ECONNRESET', 'cable cut'], 7],
    )
  })

  test('that the message already repeats is not said twice', () => {
    const twice = new Fault(stdFaults['command-failed'], 'Cannot run x: no such file', {
      cause: new Error('no such file'),
    })
    assert.doesNotMatch(formatError(twice).text, /because/)
  })

  test('that nobody expected is a bug: exit 70, with the stack to report', () => {
    const { text, exitCode } = formatError(new TypeError('x is undefined'))
    assert.equal(exitCode, 70)
    assert.match(text, /this is a bug in Holdfast/)
    assert.match(text, /TypeError: x is undefined\n +at /)
    assert.equal((errorDocument('thrown text') as { exitCode: number }).exitCode, 70)
  })
})

test('a table aligns columns by what is visible, numbers to the right', () => {
  const table = formatTable(
    ['name', 'size'],
    [
      ['\u001B[32ma\u001B[39m', '1'],
      ['long name', '1000'],
    ],
    [1],
  )
  assert.deepEqual(table.split('\n'), ['name       size', '\u001B[32ma\u001B[39m             1', 'long name  1000'])
})

test('progress tells share, rate and time left, from the recent rate', () => {
  let now = 0
  const clock = { monotonic: () => now as MonotonicMs } as Clock
  const line = openProgressLine(clock)
  const megabyte = 1024 * 1024
  assert.equal(line(0, 100 * megabyte, 'copying'), 'copying: 0 % · 0 B of 100 MB')
  now = 1000
  assert.equal(
    line(10 * megabyte, 100 * megabyte, 'copying'),
    'copying: 10 % · 10.0 MB of 100 MB · 10.0 MB/s · 9.0 s left',
  )
  now = 2000
  assert.equal(line(100 * megabyte, 100 * megabyte, 'copying').includes('left'), false)
  assert.equal(openProgressLine(clock)(5, undefined, 'reading'), 'reading: 5 B')
})

test('progress is for terminals only, and disappears before a line is printed', () => {
  const write = (tty: boolean): string => {
    let written = ''
    const stream = {
      isTTY: tty,
      columns: 20,
      write: (text: string) => (written += text),
    } as unknown as NodeJS.WriteStream
    const output = openOutput(stream, stream)
    output.progress('a line that is longer than the terminal')
    output.note('done')
    return written
  }
  assert.equal(write(false), 'done\n')
  assert.equal(write(true), '\r\u001B[2Ka line that is long\r\u001B[2Kdone\n')
})
