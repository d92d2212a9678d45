import type { Command } from '../measure/measure.ts'
import type { Setting } from './core/sample.ts'

/** A program that backs up the benchmark's server, at one setting. */
export interface Contender {
  /** As in samples and targets. */
  readonly name: string
  readonly setting: Setting
  /** What it is and how it is set up, for people. */
  readonly about: string
  /** Starts what brings WAL into the repository, so that only whoever is measured archives. */
  archive(): Promise<AsyncDisposable>
  readonly full: Command
  readonly incremental?: Command | undefined
  /** A new backup takes the place of the last one. */
  readonly overwrites?: boolean
  /** Restores the newest backup into an empty directory, synced to disk. */
  restore(directory: string): Command
  /** Makes a directory that holds something of the same cluster into the newest backup, keeping what fits. */
  readonly deltaRestore?: ((directory: string) => Command) | undefined
  /** Where its command does more than lay the files out: the seconds of that, read from what it printed. */
  readonly beyondRestore?: (stdout: string) => number
  /** Where its backups are, without the WAL. */
  readonly backupDirectory: string
}
