/** `npm run check`: format, lint, types, dead code and the unit tests, in under a minute. */
import { runChecks } from './checks.ts'
import { runSuite } from './suite.ts'

const parts = [await runChecks(), await runSuite('unit')]
const sum = (of: 'passed' | 'failed'): number => parts.reduce((total, part) => total + part[of], 0)
process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`)
process.exitCode = sum('failed') > 0 ? 1 : 0
