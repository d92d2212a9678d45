import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TimelineId } from '../../wal/core/lsn.ts'
import { removeUnusedReservations, reserveTimeline } from './reserve-timeline.ts'

async function withData(work: (directory: string, list: () => Promise<string[]>) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'hf-'))
  try {
    await mkdir(join(directory, 'pg_wal'))
    await work(directory, async () => (await readdir(join(directory, 'pg_wal'))).toSorted())
  } finally {
    await rm(directory, { recursive: true })
  }
}

const timeline = (id: number): TimelineId => id as TimelineId

describe('reserveTimeline', () => {
  it('takes the ids between, so that PostgreSQL begins the wanted one', async () => {
    await withData(async (directory, list) => {
      await writeFile(join(directory, 'pg_wal', '00000002.history'), '1\t0/100\twhy\n')
      await reserveTimeline(directory, timeline(2), timeline(5))
      assert.deepEqual(await list(), ['00000002.history', '00000003.history', '00000004.history'])
    })
  })

  it('takes none where the next id is the wanted one', async () => {
    await withData(async (directory, list) => {
      await reserveTimeline(directory, timeline(1), timeline(2))
      assert.deepEqual(await list(), [])
    })
  })
})

describe('removeUnusedReservations', () => {
  it('removes those that no real timeline has followed, and keeps the others', async () => {
    await withData(async (directory, list) => {
      await reserveTimeline(directory, timeline(1), timeline(3))
      await writeFile(join(directory, 'pg_wal', '00000003.history'), '1\t0/100\twhy\n')
      await reserveTimeline(directory, timeline(3), timeline(6))
      await removeUnusedReservations(directory)
      assert.deepEqual(await list(), ['00000002.history', '00000003.history'])
    })
  })
})
