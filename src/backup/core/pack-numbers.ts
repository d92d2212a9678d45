/** Numbers the packs of a backup in the order in which its manifest comes to name them. */
export interface PackNumbers {
  readonly numberOf: (key: string) => number
  /** By number. */
  readonly keys: readonly string[]
}

export function createPackNumbers(): PackNumbers {
  const numbers = new Map<string, number>()
  const keys: string[] = []
  return {
    keys,
    numberOf: (key) => {
      const known = numbers.get(key)
      if (known !== undefined) return known
      numbers.set(key, keys.length)
      return keys.push(key) - 1
    },
  }
}
