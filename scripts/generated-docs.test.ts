import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { generatedDocs } from './generated-docs.ts'

const root = dirname(import.meta.dirname)

for (const [path, text] of await generatedDocs(root)) {
  test(`${path} is what the code generates (else run scripts/generate-docs.ts)`, async () => {
    assert.equal(await readFile(join(root, path), 'utf8'), text)
  })
}

test('every configuration key, command and fault stands in the reference', async () => {
  const docs = await generatedDocs(root)
  assert.match(docs.get('docs/reference/configuration.md') ?? '', /`repositories\[\]\.passphraseFile` 🔑/)
  assert.match(docs.get('docs/reference/cli.md') ?? '', /## config check/)
  assert.match(docs.get('docs/reference/faults.md') ?? '', /`config-invalid` \| 2 usage/)
})
