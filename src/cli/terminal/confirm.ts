import { createInterface } from 'node:readline/promises'
import { Fault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'

/**
 * Asks a person at the terminal before something is overwritten. Throws `cli-not-confirmed` when the answer is not yes,
 * and where nobody can be asked.
 */
export async function confirm({ signal, json }: CommandContext, question: string): Promise<void> {
  if (json || !process.stdin.isTTY || !process.stderr.isTTY) {
    throw new Fault(cliFaults['cli-not-confirmed'], `Cannot go on without being told to: ${question}`)
  }
  using terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`${question} Go on? [y/N] `, { signal }).catch((cause: unknown) => {
    throw signal.aborted ? signal.reason : new Fault(stdFaults.interrupted, 'Cannot go on: no answer', { cause })
  })
  if (/^y(es)?$/i.test(answer.trim())) return
  throw new Fault(cliFaults['cli-not-confirmed'], 'Cannot go on: the answer was not yes; nothing was changed')
}
