import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { restoreCommand, restoreScript, restoreScriptName } from './restore-script.ts'

const segment = '000000010000000000000003'

interface Feed extends AsyncDisposable {
  readonly path: string
  ask(name: string): { readonly status: number | null; readonly stderr: string }
}

/** A feed's directory as recovery sees it, whose feeder is the process `pid`. */
async function openFeed(pid: number): Promise<Feed> {
  const root = await mkdtemp(join(tmpdir(), "hf-it's 100%-"))
  await mkdir(join(root, 'ready'))
  await writeFile(join(root, 'plan'), `00000002.history\n${segment}\n`)
  await writeFile(join(root, 'pid'), `${pid}\n`)
  await writeFile(join(root, restoreScriptName), restoreScript)
  const command = restoreCommand(join(root, restoreScriptName))
  return {
    path: root,
    ask: (name) => {
      // As PostgreSQL does: replaces %f and %p, and %% by %.
      const line = command.replaceAll(/%[fp%]/g, (code) => ({ '%f': name, '%p': 'RECOVERYXLOG' })[code] ?? '%')
      const { status, stderr } = spawnSync('/bin/sh', ['-c', line], { cwd: root, encoding: 'utf8', timeout: 10_000 })
      return { status, stderr }
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  }
}

function deadPid(): number {
  return spawnSync('/bin/true').pid
}

test('law L7: a planned file is given, one that is not planned is the end, anything else stops recovery', async () => {
  await using feed = await openFeed(process.pid)
  await writeFile(join(feed.path, 'ready', segment), 'wal')
  assert.equal(feed.ask(segment).status, 0)
  assert.equal(await readFile(join(feed.path, 'RECOVERYXLOG'), 'utf8'), 'wal')
  assert.match(await readFile(join(feed.path, 'wanted'), 'utf8'), new RegExp(`^${segment} \\d+\n$`))
  assert.deepEqual(await readdir(join(feed.path, 'ready')), [], 'it was moved')
  await writeFile(join(feed.path, 'ready', '00000002.history'), 'history')
  assert.equal(feed.ask('00000002.history').status, 0)
  assert.equal(feed.ask('00000002.history').status, 0, 'asked for again')
  assert.equal(feed.ask('000000010000000000000004').status, 1)
  assert.equal(feed.ask('00000003.history').status, 1)
  assert.equal(feed.ask('0000000100000000000000').status, 1, 'a part of a name is no name')
})

test('law L7: a feed that failed stops recovery and says why', async () => {
  await using feed = await openFeed(process.pid)
  await writeFile(join(feed.path, 'failed'), 'the object is damaged')
  const { status, stderr } = feed.ask(segment)
  assert.equal(status, 200)
  assert.match(stderr, /000000010000000000000003: the object is damaged/)
})

test('law L7: a feeder that is gone stops recovery', async () => {
  await using feed = await openFeed(deadPid())
  assert.equal(feed.ask(segment).status, 200)
})

test('law L7: without its plan it stops recovery', async () => {
  await using feed = await openFeed(process.pid)
  await rm(join(feed.path, 'plan'))
  assert.equal(feed.ask(segment).status, 200)
})

test('law L7: a file that cannot be moved stops recovery', async () => {
  await using feed = await openFeed(process.pid)
  await writeFile(join(feed.path, 'ready', segment), 'wal')
  await mkdir(join(feed.path, 'RECOVERYXLOG', segment), { recursive: true })
  assert.equal(feed.ask(segment).status, 200)
})
