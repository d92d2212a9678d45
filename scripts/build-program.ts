import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './suite.ts'

/** Files that the program reads at run time and that are not compiled. */
const shippedAsTheyAre = ['repository/restore-kit/restore.mjs']

/** Compiles `src/` into an empty directory and adds what is shipped as it is. */
export function buildProgram(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  const arguments_ = ['-p', join(root, 'tsconfig.build.json'), '--outDir', directory]
  const result = spawnSync(process.execPath, [tsc, ...arguments_], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`Cannot compile: ${result.stdout}${result.stderr}`)
  for (const file of shippedAsTheyAre) {
    mkdirSync(dirname(join(directory, file)), { recursive: true })
    copyFileSync(join(root, 'src', file), join(directory, file))
  }
  chmodSync(join(directory, 'main.js'), 0o755)
}
