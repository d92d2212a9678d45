import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { rules } from './core/rule-ids.ts'

const root = join(import.meta.dirname, '..', '..')

describe('the rules of deciding', () => {
  it('stand in docs/design/failover.md word for word, and only they', async () => {
    const page = await readFile(join(root, 'docs/design/failover.md'), 'utf8')
    const rows = page.split('\n').filter((line) => /^\| HA-\d{3} \|/.test(line))
    assert.deepEqual(
      rows,
      Object.entries(rules).map(([id, text]) => `| ${id} | ${text} |`),
    )
  })

  it('are each used by the code', async () => {
    let code = ''
    for await (const path of glob('src/cluster/core/{decide,rules/*}.ts', { cwd: root })) {
      if (!path.endsWith('.test.ts')) code += await readFile(join(root, path), 'utf8')
    }
    for (const id of Object.keys(rules)) assert.ok(code.includes(`'${id}'`), `${id} decides nothing`)
  })
})
