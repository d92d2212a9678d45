/**
 * Does `work` for every item, so many at a time, begun in their order. The first failure stops the rest from being
 * begun, and is thrown when what was under way has ended.
 */
export async function inParallel<Item>(
  lanes: number,
  items: Iterable<Item>,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]()
  const failures: unknown[] = []
  const run = async (): Promise<void> => {
    while (failures.length === 0) {
      const next = queue.next()
      if (next.done === true) return
      await work(next.value).catch((error: unknown) => void failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: lanes }, run))
  if (failures.length > 0) throw failures[0]
}
