/**
 * The candidate a misspelt word most likely means, or undefined when none is close: at most a third of its letters
 * wrong (swapped neighbours count once), or one is the beginning of the other.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const folded = fold(word)
  let best: { readonly candidate: string; readonly distance: number } | undefined
  for (const candidate of candidates) {
    const other = fold(candidate)
    const prefix = Math.min(folded.length, other.length) >= 3 && (other.startsWith(folded) || folded.startsWith(other))
    const distance = Math.min(editDistance(folded, other), prefix ? 2 : Infinity)
    const limit = Math.max(prefix ? 2 : 1, Math.floor(Math.max(folded.length, other.length) / 3))
    if (distance <= limit && (best === undefined || distance < best.distance)) best = { candidate, distance }
  }
  return best?.candidate
}

/** `data_directory`, `data-directory` and `dataDirectory` are the same word to the person who wrote it. */
function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, '')
}

/** Optimal string alignment distance: insert, delete, replace, or swap two neighbours. */
function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      let cost = Math.min(at(rows, row - 1, column) + 1, (current[column - 1] ?? 0) + 1)
      cost = Math.min(cost, at(rows, row - 1, column - 1) + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (swapped) cost = Math.min(cost, at(rows, row - 2, column - 2) + 1)
      current.push(cost)
    }
    rows.push(current)
  }
  return at(rows, from.length, to.length)
}

function at(rows: readonly (readonly number[])[], row: number, column: number): number {
  return rows[row]?.[column] ?? 0
}
