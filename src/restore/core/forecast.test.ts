import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forecastRestore } from './forecast.ts'

const mega = 1024 * 1024
const one = { at: '', writtenBytes: 100 * mega, filesMs: 1000, walBytes: 0, recoveryMs: 50 }

test('a forecast is the median speed of the last restores, and nothing without any', () => {
  const todo = { dataBytes: 1000 * mega, walBytes: 20 * mega }
  assert.equal(forecastRestore([], todo), undefined)
  assert.equal(forecastRestore([{ ...one, writtenBytes: 8192 }], todo), undefined)
  const history = [one, { ...one, filesMs: 9000 }, { ...one, filesMs: 2000, walBytes: 10 * mega, recoveryMs: 300 }]
  const forecast = forecastRestore(history, todo)
  assert.deepEqual([Math.round(forecast?.filesMs ?? 0), Math.round(forecast?.recoveryMs ?? 0)], [20_000, 600])
  assert.equal(forecastRestore([one], todo)?.recoveryMs, undefined)
})
