/**
 * `npm run build`: compiles the program into `dist/`, ready to be packed.
 *
 *   build.ts [DIRECTORY]   into another directory
 */
import { resolve } from 'node:path'
import { buildProgram } from './build-program.ts'
import { root } from './suite.ts'

buildProgram(resolve(root, process.argv[2] ?? 'dist'))
