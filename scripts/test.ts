/**
 * `npm test`: everything. The static checks, then every suite; ends with the counts.
 *
 *   npm test                        all of it
 *   npm test -- integration         one suite
 *   npm test -- integration FILE…   some files of a suite
 */
import { runChecks } from './checks.ts'
import { installServers } from './servers.ts'
import { runSuite } from './suite.ts'
import { suites, type Suite } from './test-files.ts'

const [only, ...files] = process.argv.slice(2)
if (only !== undefined && !Object.hasOwn(suites, only)) {
  process.stderr.write(`Cannot run the suite "${only}": there are ${Object.keys(suites).join(', ')}\n`)
  process.exit(2)
}

installServers()
const parts = only === undefined ? [await runChecks()] : []
for (const suite of Object.keys(suites) as Suite[]) {
  if (only !== undefined && suite !== only) continue
  const startedAt = Date.now()
  process.stdout.write(`\n── ${suite} ──\n`)
  const counts = await runSuite(suite, files)
  process.stdout.write(
    `${suite}: ${counts.passed} passed, ${counts.failed} failed, ${Math.round((Date.now() - startedAt) / 1000)} s\n`,
  )
  parts.push(counts)
}
const sum = (of: 'passed' | 'failed'): number => parts.reduce((total, part) => total + part[of], 0)
process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed\n`)
process.exitCode = sum('failed') > 0 ? 1 : 0
