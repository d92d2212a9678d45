import { Fault, exitCodes } from '../../std/fault.ts'

/** An error as people read it: what and why, the causes that the message does not repeat, and what to do next. */
export function formatError(error: unknown): { readonly text: string; readonly exitCode: number } {
  if (error instanceof Fault) {
    const because = causes(error).map((cause) => `  because: ${cause}`)
    const text = [error.message, ...because, `  hint: ${error.hint}`, `  (${error.code})`].join('\n')
    return { text, exitCode: error.exitCode }
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const text = `Cannot go on: this is a bug in Holdfast, not something you did\n${indent(stack)}\n  hint: Please report it with the lines above.\n  (bug)`
  return { text, exitCode: exitCodes.bug }
}

/** The same for machines. */
export function errorDocument(error: unknown): object {
  if (error instanceof Fault) return { error: { ...error.toJSON(), causes: causes(error) }, exitCode: error.exitCode }
  const message = error instanceof Error ? error.message : String(error)
  return { error: { code: 'bug', exitClass: 'bug', message }, exitCode: exitCodes.bug }
}

function causes(error: Error): readonly string[] {
  const found: string[] = []
  let said = error.message
  for (let cause = error.cause; cause instanceof Error && found.length < 5; cause = cause.cause) {
    if (!said.includes(cause.message)) found.push(cause.message)
    said += cause.message
  }
  return found
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}
