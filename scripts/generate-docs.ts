import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { generatedDocs } from './generated-docs.ts'

/** Writes the generated reference pages: `node scripts/run.mjs scripts/generate-docs.ts`. */
const root = dirname(import.meta.dirname)
for (const [path, text] of await generatedDocs(root)) {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}
