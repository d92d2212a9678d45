/**
 * The order in which a data directory is walked, and in which its files are in a manifest: by the names on the way, a
 * directory's content right after the directory. The separator sorts before every other character.
 */
export function compareInWalk(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [left, right] = [rank(a, at), rank(b, at)]
    if (left !== right) return left - right
  }
  return a.length - b.length
}

const slash = 0x2f

function rank(path: string, at: number): number {
  const code = path.charCodeAt(at)
  return code === slash ? -1 : code
}
