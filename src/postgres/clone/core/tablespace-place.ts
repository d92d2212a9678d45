/** Where the archives of a backup go: the data directory, and each tablespace by its oid. */
export interface ArchivePlaces {
  readonly dataDirectory: string
  readonly tablespaces: ReadonlyMap<string, string>
}

export interface ArchivePlace {
  readonly directory: string
  /** What comes before a path of the archive in the manifest: nothing, or `pg_tblspc/<oid>/`. */
  readonly manifestPrefix: string
}

/** Maps each tablespace's location on the server to a directory here; where the map says nothing, the same one. */
export function tablespacePlaces(
  tablespaces: readonly { readonly oid: number | null; readonly location: string | null }[],
  dataDirectory: string,
  map: ReadonlyMap<string, string> = new Map(),
): ArchivePlaces {
  const places = new Map<string, string>()
  for (const { oid, location } of tablespaces) {
    if (oid === null || location === null) continue
    // A location that is not absolute lies inside the data directory (allow_in_place_tablespaces).
    const directory = location.startsWith('/') ? (map.get(location) ?? location) : `${dataDirectory}/${location}`
    places.set(String(oid), directory)
  }
  return { dataDirectory, tablespaces: places }
}

/** Where the archive of this name goes: `base.tar` or `<oid>.tar`. */
export function placeOf(places: ArchivePlaces, archiveName: string): ArchivePlace {
  if (archiveName === 'base.tar') return { directory: places.dataDirectory, manifestPrefix: '' }
  const oid = archiveName.replace(/\.tar$/, '')
  const directory = places.tablespaces.get(oid)
  if (directory === undefined) throw new RangeError(`the archive ${archiveName} belongs to no tablespace`)
  return { directory, manifestPrefix: `pg_tblspc/${oid}/` }
}

/** Where the link at `pg_tblspc/<oid>` should point. */
export function linkTarget(places: ArchivePlaces, path: string): string {
  const directory = places.tablespaces.get(/^pg_tblspc\/(\d+)$/.exec(path)?.[1] ?? '')
  if (directory === undefined) throw new RangeError(`the link ${path} belongs to no tablespace`)
  return directory
}

/** The tablespaces' directories outside of the data directory. */
export function outsideOf(places: ArchivePlaces): string[] {
  return [...places.tablespaces.values()].filter((path) => !path.startsWith(`${places.dataDirectory}/`))
}
