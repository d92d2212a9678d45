import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Where a command writes. Results go to `print`, everything else (progress, warnings) to `note`. */
export interface Output {
  /** A line, or several, on standard output. */
  print(text: string): void
  /** One JSON document on standard output; 64-bit integers become text. */
  printJson(value: unknown): void
  /** A line on standard error, for people. */
  note(text: string): void
  /** Colours the text if standard output is a terminal that wants colours (`NO_COLOR`, `FORCE_COLOR`). */
  style(style: Style, text: string): string
  /** A line on standard error that the next call replaces; does nothing unless that is a terminal. Empty: removes it. */
  progress(text: string): void
}

export function openOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Output {
  let shown = ''
  const progress = (text: string): void => {
    if (!stderr.isTTY || text === shown) return
    const line = text.slice(0, Math.max(10, (stderr.columns ?? 80) - 1))
    stderr.write(`\r\u001B[2K${line}`)
    shown = text
  }
  const aside = (stream: NodeJS.WriteStream, text: string): void => {
    progress('')
    stream.write(`${text}\n`)
  }
  return {
    print: (text) => aside(stdout, text),
    printJson: (value) => aside(stdout, JSON.stringify(value, bigintAsText, 2)),
    note: (text) => aside(stderr, text),
    style: (style, text) => styleText(style, text, { stream: stdout }),
    progress,
  }
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
