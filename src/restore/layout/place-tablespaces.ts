import { isAbsolute, join } from 'node:path'
import type { Tablespace } from '../../repository/core/manifest.ts'
import { Fault } from '../../std/fault.ts'
import { restoreFaults } from '../faults.ts'

/**
 * The directory of each tablespace, by OID: what is named for its OID, else for the directory it was in, else one of its
 * own below `tablespacesInto`. Throws `restore-tablespace-unmapped` when nothing is said of one, when something is said
 * of one that the backup does not have, and when two would share a directory.
 */
export function placeTablespaces(
  tablespaces: readonly Tablespace[],
  options: {
    readonly tablespaces?: ReadonlyMap<string, string> | undefined
    readonly tablespacesInto?: string | undefined
  },
): ReadonlyMap<number, string> {
  const named = options.tablespaces ?? new Map<string, string>()
  const places = new Map<number, string>()
  const known = new Set(tablespaces.flatMap(({ oid, location }) => [String(oid), location]))
  const stranger = [...named.keys()].find((name) => !known.has(name))
  if (stranger !== undefined) {
    const has = tablespaces.map(({ oid, location }) => `${oid} (${location})`).join(', ')
    throw unmapped(`the backup has no tablespace ${stranger}; it has ${has === '' ? 'none' : has}`)
  }
  for (const { oid, location } of tablespaces) {
    const into = options.tablespacesInto === undefined ? undefined : join(options.tablespacesInto, String(oid))
    const place = named.get(String(oid)) ?? named.get(location) ?? into
    if (place === undefined || !isAbsolute(place)) {
      throw unmapped(`no absolute directory is given for tablespace ${oid} (it was at ${location})`)
    }
    if ([...places.values()].includes(place)) throw unmapped(`two tablespaces would share ${place}`)
    places.set(oid, place)
  }
  return places
}

function unmapped(reason: string): Fault {
  return new Fault(restoreFaults['restore-tablespace-unmapped'], `Cannot place the tablespaces: ${reason}`)
}
