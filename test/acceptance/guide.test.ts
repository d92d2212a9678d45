import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { killAll, processesBelow } from '../../src/cli/demo/node-processes.ts'
import { compileProgram } from '../support/compiled-program.ts'
import { root } from '../../scripts/suite.ts'

test('every command of the getting-started guide does what it says', { timeout: 240_000 }, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'g-'))
  try {
    const program = compileProgram(directory)
    const bin = join(directory, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'holdfast'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`)
    await chmod(join(bin, 'holdfast'), 0o755)
    const guide = await readFile(join(root, 'docs/guide/getting-started.md'), 'utf8')
    const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
    assert.equal(blocks.length, 9)
    const home = join(directory, 'h')
    await mkdir(home)
    // A file, since the guide looks for processes by their arguments and would find its own text there.
    const script = join(directory, 'guide.sh')
    await writeFile(script, ['set -e', ...blocks].join('\n'))
    const { code, output } = await runScript(script, home, bin, context.signal)
    assert.equal(code, 0, output)
    assert.match(output, /backup .* is complete/)
    assert.match(output, /passed, proven at level 4/)
    assert.match(output, /every configured key opens it/)
    assert.match(output, /n2 +leader/)
    assert.match(output, /cluster main: healthy · term 3/)
  } finally {
    await killAll(() => processesBelow(directory))
    await rm(directory, { recursive: true, force: true })
  }
})

function runScript(
  file: string,
  home: string,
  bin: string,
  signal: AbortSignal,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', [file], {
      cwd: home,
      env: { ...process.env, HOME: home, PATH: `${bin}:${process.env['PATH']}` },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    })
    let output = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (output += data.toString()))
    child.on('error', (error) => reject(new Error(output, { cause: error })))
    child.on('close', () => resolve({ code: child.exitCode, output }))
    // Where the script fails halfway, the agents that it has started hold its output open.
    child.on('exit', (code) => void (code === 0 || setTimeout(() => resolve({ code, output }), 1000)))
  })
}
