import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { mkdir, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import { runHoldfast } from '../../support/cli-cluster.ts'
import type { CliOutcome } from '../../support/cli-cluster.ts'
import { openSmallDisks } from '../../support/small-disk.ts'
import { configureNode } from './dump-node.ts'
import { addNoise, openDumpScene } from './dump-scene.ts'
import type { DumpScene } from './dump-scene.ts'

let scene: DumpScene
let configFile: string
before(async () => {
  scene = await openDumpScene()
  await addNoise(scene)
  configFile = join(scene.server.directory, 'holdfast.yaml')
  await configureNode(scene, configFile)
})
after(() => scene[Symbol.asyncDispose]())

const holdfast = (
  args: readonly string[],
  onStart?: (child: ChildProcess) => void,
  launcher?: readonly string[],
): Promise<CliOutcome> => runHoldfast([...args, '--config', configFile], scene.dumps, onStart, launcher)

test('dump, list and load by the commands, in a repository and in a directory', async () => {
  const dumped = await holdfast(['dump', '--database', 'app'])
  assert.equal(dumped.code, 0, dumped.stderr)
  const name = /(app-\S+\.dump\.gpg): 3 tables/.exec(dumped.stdout)?.[1] ?? assert.fail(dumped.stdout)
  const roles = /(globals-\S+\.sql\.gpg): \d roles/.exec(dumped.stdout)?.[1] ?? assert.fail(dumped.stdout)
  const listed = await holdfast(['dumps'])
  assert.equal(listed.code, 0, listed.stderr)
  assert.match(listed.stdout, new RegExp(`${name}.* 3 `))
  const expired = await holdfast(['expire', '--dry-run'])
  assert.equal(expired.code, 0, expired.stderr)
  assert.match(expired.stdout, /^0 of 2 dumps would go\ndump +ended +size +because$/m)
  assert.match(expired.stdout, new RegExp(`^${name} .* stays +within 30 days; one of the newest 2 of app$`, 'm'))
  const loaded = await holdfast(['load', name, '--repository', 'local', '--globals', roles, '--json'])
  assert.equal(loaded.code, 0, loaded.stderr)
  assert.equal((JSON.parse(loaded.stdout) as { tables: number }).tables, 3)
  const files = await holdfast(['dump', '--database', 'app', '--to', '.', '--format', 'plain', '--json'])
  const { dumps } = JSON.parse(files.stdout) as { dumps: { file: string; database: string | null }[] }
  const file = dumps.find(({ database }) => database === 'app')?.file ?? assert.fail(files.stdout)
  const into = await holdfast(['load', file, '--into', 'app2', '--create'])
  assert.equal(into.code, 0, into.stderr)
  assert.match(into.stdout, /is loaded into app2: 3 tables/)
  const again = await holdfast(['load', file, '--into', 'app2'])
  assert.equal(again.code, 5)
  assert.match(again.stderr, /dump-target-occupied/)
})

test('a dump and its loading take as much memory for 120 MB as for nothing', async () => {
  let peakKilobytes = 0
  const watch = (child: ChildProcess): void => {
    const look = setInterval(() => {
      void readFile(`/proc/${child.pid}/status`, 'utf8').then(
        (text) => (peakKilobytes = Math.max(peakKilobytes, Number(/VmHWM:\s+(\d+)/.exec(text)?.[1] ?? 0))),
        () => undefined,
      )
    }, 20)
    child.once('exit', () => clearInterval(look))
  }
  const dumped = await holdfast(['dump', '--database', 'noise', '--to', '.', '--json'], watch)
  assert.equal(dumped.code, 0, dumped.stderr)
  const { dumps } = JSON.parse(dumped.stdout) as { dumps: { file: string; sizeBytes: number }[] }
  const noise = dumps.find(({ file }) => file.startsWith('noise-')) ?? assert.fail(dumped.stdout)
  assert.ok(noise.sizeBytes > 100 << 20)
  const loaded = await holdfast(['load', noise.file], watch)
  assert.equal(loaded.code, 0, loaded.stderr)
  assert.ok(peakKilobytes > 0 && peakKilobytes < 260 * 1024, `${peakKilobytes} kB`)
})

test('Ctrl-C leaves nothing that looks like a dump', async () => {
  const place = join(scene.dumps, 'interrupted')
  await mkdir(place)
  const interrupt = (child: ChildProcess): void => {
    const begun = async (): Promise<true | undefined> =>
      (await readdir(place)).some((name) => name.startsWith('.noise-')) ? true : undefined
    const patience = { clock: systemClock, timeoutMs: 30_000, everyMs: 5 }
    void waitUntil('the dump to begin', begun, patience).then(() => child.kill('SIGINT'))
  }
  const { code, stderr } = await holdfast(['dump', '--database', 'noise', '--to', place], interrupt)
  assert.equal(code, 130, stderr)
  assert.deepEqual(
    (await readdir(place)).filter((name) => !name.startsWith('globals-')),
    [],
  )
})

test('a full disk is named, and leaves nothing that looks like a dump', async (context) => {
  const place = join(scene.dumps, 'small')
  await using disks = await openSmallDisks(new Map([[place, 20]]))
  if (disks === undefined) return context.skip('this system allows no user namespaces')
  const { code, stdout } = await holdfast(
    ['dump', '--database', 'noise', '--to', place, '--json'],
    undefined,
    disks.launcher,
  )
  assert.equal(code, 1, stdout)
  const { dumps } = JSON.parse(stdout) as { dumps: { outcome: string; error?: { code: string } }[] }
  assert.deepEqual(
    dumps.map(({ outcome, error }) => error?.code ?? outcome),
    ['ok', 'disk-full'],
  )
})
