import { glob } from 'node:fs/promises'

/** The test suites in the order in which they run: what is cheap and tells most comes first. */
export const suites = {
  unit: ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'],
  contract: ['test/contract/**/*.test.ts'],
  stores: ['test/stores/**/*.test.ts'],
  integration: ['test/integration/**/*.test.ts'],
  acceptance: ['test/acceptance/**/*.test.ts'],
} as const

export type Suite = keyof typeof suites

export async function testFiles(suite: Suite, root: string): Promise<string[]> {
  const files: string[] = []
  for (const pattern of suites[suite]) for await (const file of glob(pattern, { cwd: root })) files.push(file)
  return files.sort()
}
