/** Whether a version like `2.45` or `3.4.0` is this one or a later one. */
export function isAtLeast(version: string, wanted: string): boolean {
  const numbers = (text: string): number[] => text.split('.').map(Number)
  const have = numbers(version)
  for (const [place, number] of numbers(wanted).entries()) {
    const difference = (have[place] ?? 0) - number
    if (difference !== 0) return difference > 0
  }
  return true
}
