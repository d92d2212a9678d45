import type { ObjectStore } from '../../src/store/object-store.ts'
import { pattern, type ChildReport, type StoreOpener } from './object-store.ts'

/** A process that creates objects on request, for the contract's races and kills. */
interface Job {
  readonly opener: StoreOpener
  readonly key: string
  readonly length: number
  readonly seed: number
}

process.on('message', (job: Job) => void work(job))
process.on('disconnect', () => process.exit(0))
report({ event: 'ready' })

async function work({ opener, key, length, seed }: Job): Promise<void> {
  const module = (await import(opener.moduleUrl)) as Record<string, (options: unknown) => Promise<ObjectStore>>
  await using store = await open(module[opener.exportName], opener.options)
  const body = pattern(length, seed)
  report({ event: 'writing' })
  report({ event: 'done', outcome: await store.create(key, body) })
}

async function open(
  opener: ((options: unknown) => Promise<ObjectStore>) | undefined,
  options: unknown,
): Promise<ObjectStore> {
  if (opener === undefined) throw new Error('the module does not export the function that opens the store')
  return opener(options)
}

function report(message: ChildReport): void {
  process.send?.(message)
}
