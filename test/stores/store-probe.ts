import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { runHoldfast } from '../support/cli-cluster.ts'

interface ProbeDocument {
  readonly store: string
  readonly verdict: string
  readonly findings: readonly { readonly check: string; readonly outcome: string; readonly told: string }[]
  readonly left: readonly string[]
}

/** Runs the shipped command on an address; gives its exit code and what it found, by check. */
export async function probeAddress(address: string): Promise<{
  readonly code: number | null
  readonly found: Readonly<Record<string, string>>
  readonly document: ProbeDocument
}> {
  const { code, stdout, stderr } = await runHoldfast(['store', 'probe', '--store', address, '--json'], tmpdir())
  assert.notEqual(stdout, '', stderr)
  const document = JSON.parse(stdout) as ProbeDocument
  const found = Object.fromEntries(document.findings.map(({ check, outcome }) => [check, outcome]))
  return { code, found, document }
}

/** What every store that may hold the first repository is found to do. */
export const soundStore = {
  'read after write': 'good',
  'create only if absent': 'good',
  'race of creators': 'good',
  listing: 'good',
  ranges: 'good',
  throughput: 'fact',
  latency: 'fact',
  delete: 'good',
}
