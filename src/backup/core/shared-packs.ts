import type { PackReference } from '../../repository/core/backup-facts.ts'

/** Numbers the packs of its parent that a backup needs: after its own, in the order in which they are asked for. */
export interface SharedPacks {
  readonly numberOf: (parentPack: number) => number
  readonly references: readonly PackReference[]
}

export function createSharedPacks(parentPacks: readonly PackReference[], ownPackCount: number): SharedPacks {
  const numbers = new Map<number, number>()
  const references: PackReference[] = []
  return {
    references,
    numberOf: (parentPack) => {
      const known = numbers.get(parentPack)
      if (known !== undefined) return known
      const reference = parentPacks[parentPack]
      if (reference === undefined) throw new RangeError(`the parent has no pack ${parentPack}`)
      const number = ownPackCount + references.length
      references.push(reference)
      numbers.set(parentPack, number)
      return number
    },
  }
}
