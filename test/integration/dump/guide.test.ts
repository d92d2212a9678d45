import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { configureNode } from './dump-node.ts'
import { openDumpScene } from './dump-scene.ts'

const root = join(import.meta.dirname, '..', '..', '..')

test('every command of the guide to portable dumps does what it says', async () => {
  await using scene = await openDumpScene()
  const home = join(scene.server.directory, 'guide')
  await mkdir(join(home, 'secrets'), { recursive: true })
  await configureNode(scene, join(home, 'n1.yaml'))
  await copyFile(scene.passphraseFile, join(home, 'secrets', 'repository'))
  const holdfast = join(home, 'holdfast')
  await writeFile(holdfast, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'src', 'main.ts')}' "$@"\n`)
  await chmod(holdfast, 0o755)
  const guide = await readFile(join(root, 'docs/guide/portable-dumps.md'), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  assert.equal(blocks.length, 6)
  const { code, stdout, stderr } = scene.shell([`cd '${home}'; PATH="$PWD:$PATH"`, ...blocks].join('\n'))
  assert.equal(code, 0, `${stdout.toString()}${stderr}`)
  assert.match(stdout.toString(), /loads \(into a scratch database that is gone again\): 3 tables/)
  for (const database of ['app2', 'app3', 'app4']) {
    const rows = await scene.inDatabase(database, (sql) => sql.query('SELECT count(*) FROM sales.orders'))
    assert.deepEqual(rows, [{ count: '20000' }])
  }
})
