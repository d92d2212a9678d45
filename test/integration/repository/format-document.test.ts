import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import {
  codecCodes,
  indexRecordNumber,
  maxRecordBytes,
  packHeaderBytes,
  packTrailerBytes,
  recordTypeCodes,
} from '../../../src/repository/core/pack-layout.ts'
import { pagesPerRecord } from '../../../src/repository/core/page-map.ts'

const file = new URL('../../../docs/design/repository-format.md', import.meta.url)
const fixture = new URL('../../fixtures/repository-v1/repository/main/', import.meta.url)
/** Without the padding of table cells. */
const text = (await readFile(file, 'utf8')).replaceAll(/ +/g, ' ')

/** The cells of the table under a heading that has these columns. */
function table(heading: string, columns: string): string[][] {
  const section = text.split(`### ${heading}\n`)[1]?.split('\n#')[0] ?? ''
  const rows = section.split(`| ${columns} |\n`)[1]?.split('\n\n')[0]?.split('\n') ?? []
  assert.ok(rows.length > 1, `no table ${columns} under ${heading}`)
  const cells = rows.slice(1).filter((row) => row.startsWith('|'))
  return cells.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** Offset and size of every field, which must follow each other without a hole; gives the sum. */
function layoutBytes(heading: string): number {
  let end = 0
  for (const [offset = '', size = '', field] of table(heading, 'offset | size | field')) {
    assert.equal(Number(offset), end, `${heading}: ${field}`)
    end += size === 'M' ? 0 : Number(size)
  }
  return end
}

test('the tables of the format document have no holes and the sizes of the code', () => {
  assert.equal(layoutBytes('Header'), packHeaderBytes)
  assert.equal(layoutBytes('Trailer'), packTrailerBytes)
  assert.equal(layoutBytes('Index'), 16)
  assert.ok(text.includes(`header (${packHeaderBytes}) ·`) && text.includes(`trailer (${packTrailerBytes})`))
  assert.ok(text.includes(`record number ${indexRecordNumber} and type 0`))
  assert.ok(text.includes(`at most ${maxRecordBytes / 1024 / 1024} MiB of plain content`))
  assert.ok(text.includes(`up to ${pagesPerRecord} of them`))
})

test('the record types and codecs of the format document are those of the code', () => {
  const types = table('Index', 'type | name | description | content').map(([code, name]) => [name, Number(code)])
  assert.deepEqual(Object.fromEntries(types), recordTypeCodes)
  const codecs = table('Records', 'codec | meaning').map(([code, name]) => [name, Number(code)])
  assert.deepEqual(Object.fromEntries(codecs), codecCodes)
})

test('the magics of the format document are at their offsets in a real pack', async () => {
  const pack = await readFile(new URL('wal/00000002.history', fixture))
  for (const [heading, base] of [
    ['Header', 0],
    ['Trailer', pack.length - packTrailerBytes],
  ] as const) {
    const row = table(heading, 'offset | size | field').find(([, , field]) => field?.startsWith('magic'))
    const magic = /`(.*)`/.exec(row?.[2] ?? '')?.[1] ?? assert.fail()
    const at = base + Number(row?.[0])
    assert.equal(pack.toString('latin1', at, at + Number(row?.[1])), magic)
  }
})
