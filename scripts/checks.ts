import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root } from './suite.ts'

/** The static checks, run side by side: [what it proves, program, arguments]. */
const checks: readonly (readonly [string, string, readonly string[]])[] = [
  ['format', 'oxfmt', ['--check']],
  ['lint and import law', 'oxlint', ['--deny-warnings']],
  ['types', 'tsc', ['-p', 'tsconfig.json']],
  ['dead code', 'knip', []],
]

function runCheck(program: string, arguments_: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, 'node_modules', '.bin', program), arguments_, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (output += data.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ ok: code === 0, output }))
  })
}

/** Runs every static check, prints a line for each and the whole output of those that failed. */
export async function runChecks(): Promise<{ passed: number; failed: number }> {
  let failed = 0
  await Promise.all(
    checks.map(async ([name, program, arguments_]) => {
      const { ok, output } = await runCheck(program, arguments_)
      process.stdout.write(`${ok ? '✓' : '✗'} ${name}\n${ok ? '' : output}`)
      if (!ok) failed += 1
    }),
  )
  return { passed: checks.length - failed, failed }
}
