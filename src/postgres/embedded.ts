import { createHash } from 'node:crypto'
import { access, constants, lstat, mkdir, readFile, readlink, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { Fault } from '../std/fault.ts'
import { postgresFaults } from './faults.ts'
import type { Platform } from './core/embedded-platform.ts'

/**
 * The npm packages of PostgreSQL leave out the links among their libraries (npm cannot carry them) and make them in an
 * install script, which Holdfast never runs. Here they are made at run time in a directory of ours, which the programs
 * are then pointed at with LD_LIBRARY_PATH.
 */
export interface EmbeddedPackage {
  readonly binDirectory: string
  readonly environment: Readonly<Record<string, string>>
}

interface LibraryLink {
  readonly name: string
  readonly library: string
}

/** Looks at this machine; `none` where the C library is neither glibc nor musl. */
export async function detectPlatform(): Promise<Platform> {
  const loader = process.arch === 'arm64' ? '/lib/ld-linux-aarch64.so.1' : '/lib64/ld-linux-x86-64.so.2'
  const muslLoader = `/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`
  const libc = (await exists(loader)) ? 'glibc' : (await exists(muslLoader)) ? 'musl' : 'none'
  return { os: process.platform, architecture: process.arch, libc }
}

/**
 * Finds an installed npm package with PostgreSQL in it and makes its libraries loadable; undefined when the package is
 * not installed. `cacheDirectories` are tried in order until one can be written.
 */
export async function openEmbeddedPackage(
  packageName: string,
  cacheDirectories: readonly string[],
): Promise<EmbeddedPackage | undefined> {
  const root = packageRoot(packageName)
  return root === undefined ? undefined : openRoot(root, cacheDirectories)
}

/** Like {@link openEmbeddedPackage}, by the package's binary directory; undefined when it belongs to no such package. */
export async function openEmbeddedDirectory(
  binDirectory: string,
  cacheDirectories: readonly string[],
): Promise<EmbeddedPackage | undefined> {
  if (!(await exists(join(binDirectory, '..', 'pg-symlinks.json')))) return undefined
  return openRoot(resolve(binDirectory, '..', '..'), cacheDirectories)
}

async function openRoot(root: string, cacheDirectories: readonly string[]): Promise<EmbeddedPackage> {
  const binDirectory = join(root, 'native', 'bin')
  const libraryDirectory = join(root, 'native', 'lib')
  const links = await readLinks(root)
  if (await allExist(links.map((link) => join(libraryDirectory, link.name)))) return { binDirectory, environment: {} }
  const linkDirectory = await hydrate(libraryDirectory, links, cacheDirectories)
  return { binDirectory, environment: { LD_LIBRARY_PATH: `${linkDirectory}:${libraryDirectory}` } }
}

function packageRoot(packageName: string): string | undefined {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(packageName)))
  } catch {
    return undefined
  }
}

async function readLinks(root: string): Promise<readonly LibraryLink[]> {
  const entries: unknown = JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8'))
  if (!Array.isArray(entries)) throw new TypeError(`pg-symlinks.json of ${root} is no list`)
  return entries.map((entry: { source: string; target: string }) => ({
    name: basename(entry.target),
    library: resolve(root, entry.source),
  }))
}

/**
 * The directory's name is a digest of what is in it, so that several processes, versions and checkouts never disagree
 * about a link: whoever comes second finds the links as it would have made them.
 */
async function hydrate(
  libraryDirectory: string,
  links: readonly LibraryLink[],
  cacheDirectories: readonly string[],
): Promise<string> {
  const digest = createHash('sha256')
    .update(JSON.stringify([libraryDirectory, links]))
    .digest('hex')
    .slice(0, 16)
  const refusals: string[] = []
  for (const cacheDirectory of cacheDirectories) {
    const directory = join(cacheDirectory, 'libraries', digest)
    try {
      await makePrivateDirectory(cacheDirectory)
      await mkdir(directory, { recursive: true, mode: 0o700 })
      for (const link of links) await makeLink(link.library, join(directory, link.name))
      return directory
    } catch (error) {
      refusals.push(`${directory}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  throw new Fault(
    postgresFaults['postgres-embedded-unusable'],
    `Cannot prepare the embedded PostgreSQL: no cache directory can be written (${refusals.join('; ')})`,
    {
      hint: 'Set XDG_CACHE_HOME to a directory that this user may write, or install PostgreSQL from the system packages.',
    },
  )
}

/** Libraries are loaded from here, so nobody else may be able to put one in it. */
async function makePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const found = await lstat(directory)
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new Error('it is not a directory that only this user may write')
  }
}

async function makeLink(library: string, path: string): Promise<void> {
  try {
    await symlink(library, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if ((await readlink(path).catch(() => undefined)) === library) return
    await rm(path, { force: true })
    await symlink(library, path).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again
    })
  }
}

async function allExist(paths: readonly string[]): Promise<boolean> {
  const found = await Promise.all(paths.map(exists))
  return found.every(Boolean)
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  )
}
