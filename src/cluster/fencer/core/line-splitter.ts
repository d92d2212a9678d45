/** The longest line either side may send; a start command with its environment is some kilobytes. */
export const longestLineChars = 1 << 20

/** Puts lines together from the pieces in which they arrive. Throws when a line grows beyond all measure. */
export function createLineSplitter(): (piece: string) => string[] {
  let rest = ''
  return (piece) => {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > longestLineChars) throw new RangeError('line too long')
    return lines
  }
}
