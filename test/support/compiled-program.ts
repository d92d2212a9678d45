import { copyFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { buildProgram } from '../../scripts/build-program.ts'
import { root } from '../../scripts/suite.ts'

/** Compiles the program as it is shipped, below a directory of the test; gives the file to run. */
export function compileProgram(directory: string): string {
  buildProgram(join(directory, 'dist'))
  copyFileSync(join(root, 'package.json'), join(directory, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  return join(directory, 'dist', 'main.js')
}
