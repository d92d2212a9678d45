import { readFile } from 'node:fs/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnSync } from 'node:child_process'
import { runsAsRoot, runUnprivileged } from '../src/std/unprivileged.ts'
import type { Suite } from './test-files.ts'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

export interface Counts {
  readonly passed: number
  readonly failed: number
}

const entry = join(root, 'scripts', 'run-suite.ts')

/** Runs a test suite, as `nobody` when we are root, and gives its counts; a suite that never reports has failed. */
export async function runSuite(suite: Suite, files: readonly string[] = []): Promise<Counts> {
  let text = ''
  const read = async (directory: string): Promise<void> => {
    text = await readFile(join(directory, 'counts.json'), 'utf8').catch(() => '')
  }
  if (runsAsRoot()) {
    await runUnprivileged({
      programRoot: root,
      entry,
      arguments: [suite, 'counts.json', ...files],
      environment: process.env,
      collect: read,
    })
  } else {
    const scratch = await mkdtemp(join(tmpdir(), 'hf-'))
    spawnSync(process.execPath, [entry, suite, 'counts.json', ...files], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, HOLDFAST_SCRATCH: scratch },
    })
    await read(scratch)
    await rm(scratch, { recursive: true, force: true })
  }
  if (text === '') return { passed: 0, failed: 1 }
  const counts = JSON.parse(text) as Counts
  return { passed: counts.passed, failed: counts.failed }
}
