import { stripVTControlCharacters } from 'node:util'

/** Lines of text in aligned columns, two blanks apart; `right` names the columns that are aligned to the right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const widths = header.map((title, column) => Math.max(...[header, ...rows].map((row) => width(row[column] ?? title))))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const padding = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell)))
        return right.includes(column) ? padding + cell : cell + padding
      })
      .join('  ')
      .trimEnd()
  return [header, ...rows].map(line).join('\n')
}

function width(text: string): number {
  return stripVTControlCharacters(text).length
}
