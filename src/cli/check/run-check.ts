import type { Config } from '../../config/schema.ts'
import type { CommandContext } from '../command.ts'
import type { Style } from '../terminal/output.ts'
import { checkFiles } from './check-files.ts'
import type { CheckItem } from './check-item.ts'
import { checkMachine } from './check-machine.ts'
import { checkServices } from './check-services.ts'

const marks = { pass: ['✓', 'green'], warn: ['!', 'yellow'], fail: ['✗', 'red'] } as const satisfies Record<
  CheckItem['level'],
  readonly [string, Style]
>

/** Looks at everything, prints a line for each, and gives the worst as the exit class. */
export async function runCheck(config: Config, context: CommandContext): Promise<'ok' | 'degraded' | 'failed'> {
  const { output } = context
  const items = (
    await Promise.all([checkMachine({ ...context, config }), checkFiles(config), checkServices(config, context)])
  ).flat()
  context.signal.throwIfAborted()
  const verdict = judge(items)
  if (context.json) {
    output.printJson({ verdict, items })
    return verdict
  }
  for (const { name, level, observed, hint } of items) {
    const [mark, style] = marks[level]
    output.print(`${output.style(style, mark)} ${name}: ${observed}`)
    if (hint !== undefined) output.print(`    ${hint}`)
  }
  return verdict
}

export function judge(items: readonly CheckItem[]): 'ok' | 'degraded' | 'failed' {
  if (items.some(({ level }) => level === 'fail')) return 'failed'
  return items.some(({ level }) => level === 'warn') ? 'degraded' : 'ok'
}
