import type { ManifestFile } from '../../repository/core/manifest.ts'
import { splitByRecord } from '../../repository/core/page-map.ts'

/** Everything that one pack contributes to a data directory. Restoring goes pack by pack: each is fetched once. */
export interface PackJob {
  /** Number in the manifest's list of packs. */
  readonly pack: number
  /** Paths relative to the data directory; the rows below name a file by its place here. */
  readonly files: readonly string[]
  /** Rows of five, by record: file, record, first slot, number of pages, first page in the file. */
  readonly pageRows: Uint32Array
  /** Rows of three: file, first record, number of records. A record itself says where in the file it belongs. */
  readonly fileRows: Uint32Array
}

export const pageRowLength = 5
export const fileRowLength = 3

/** Turns the files of a manifest into jobs in the order of the packs. Empty files and directories need no pack. */
export function packJobs(files: readonly ManifestFile[]): readonly PackJob[] {
  const open = new Map<number, OpenJob>()
  for (const file of files) {
    if (file.kind === 'pages') {
      for (const run of splitByRecord(file.map)) {
        const job = jobOf(open, run.pack)
        job.pages.push([fileNumber(job, file.path), run.record, run.slot, run.count, run.startPage])
      }
    } else if (file.kind === 'whole') {
      for (const part of file.parts) {
        const job = jobOf(open, part.pack)
        job.parts.push([fileNumber(job, file.path), part.record, part.count])
      }
    }
  }
  return [...open.values()]
    .toSorted((left, right) => left.pack - right.pack)
    .map((job) => ({
      pack: job.pack,
      files: [...job.files.keys()],
      pageRows: Uint32Array.from(job.pages.toSorted((left, right) => left[1] - right[1]).flat()),
      fileRows: Uint32Array.from(job.parts.flat()),
    }))
}

interface OpenJob {
  readonly pack: number
  readonly files: Map<string, number>
  readonly pages: (readonly [number, number, number, number, number])[]
  readonly parts: (readonly [number, number, number])[]
}

function jobOf(open: Map<number, OpenJob>, pack: number): OpenJob {
  const known = open.get(pack)
  if (known !== undefined) return known
  const job: OpenJob = { pack, files: new Map(), pages: [], parts: [] }
  open.set(pack, job)
  return job
}

function fileNumber(job: OpenJob, path: string): number {
  const known = job.files.get(path)
  if (known !== undefined) return known
  const number = job.files.size
  job.files.set(path, number)
  return number
}
