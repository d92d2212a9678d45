import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
let project = ''

before(() => {
  project = mkdtempSync(join(tmpdir(), 'lint-'))
  for (const file of ['oxlint.config.ts', 'scripts', 'tsconfig.json', 'package.json']) {
    cpSync(join(root, file), join(project, file), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'))
})

after(() => rmSync(project, { recursive: true }))

/** What the linter says about one file of a project that has this architecture. */
function lint(path: string, content: string): string {
  const file = join(project, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  const result = spawnSync(process.execPath, [join(root, 'node_modules', '.bin', 'oxlint'), path], {
    cwd: project,
    encoding: 'utf8',
  })
  rmSync(file)
  return result.stdout + result.stderr
}

test('an import that points up is an error that says why', () => {
  const output = lint('src/wal/x.ts', "import { y } from '../repository/y.ts'\nexport const x = y\n")
  assert.match(output, /import-law.*"repository" stands above "wal"/)
})

test('neighbours on one layer do not know each other', () => {
  assert.match(lint('src/backup/x.ts', "export { y } from '../restore/y.ts'\n"), /stand on the same layer/)
})

test('an import that points down is fine', () => {
  assert.doesNotMatch(lint('src/cluster/x.ts', "export { y } from '../wal/y.ts'\n"), /architecture/)
})

test('core is pure: no node module, no outer file, no clock, no waiting', () => {
  const file = 'src/cluster/core/x.ts'
  assert.match(lint(file, "import { join } from 'node:path'\nexport const x = join\n"), /A core\/ folder is pure/)
  assert.match(lint(file, "import { y } from '../y.ts'\nexport const x = y\n"), /imports only other core/)
  assert.match(
    lint(file, "import { Fault } from '../../std/fault.ts'\nexport const x = Fault\n"),
    /imports only other core/,
  )
  assert.match(lint(file, 'export const x = Date.now()\n'), /it has no clock/)
  assert.match(lint(file, 'export const x = Math.random()\n'), /it has no chance/)
  assert.match(lint(file, 'export const x = async () => { await 1 }\n'), /nothing waits here/)
  assert.match(
    lint(file, "import type { Clock } from '../../std/clock.ts'\nexport type X = Clock\n"),
    /Found 0 warnings and 0 errors/,
  )
})

test('a subject that the list does not name is an error', () => {
  assert.match(lint('src/extra/x.ts', "export { y } from '../wal/y.ts'\n"), /is no subject of the architecture/)
})
