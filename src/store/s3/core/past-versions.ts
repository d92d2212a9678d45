/** One version of an object; without a size it is a mark that says: deleted. */
export interface ObjectVersion {
  readonly key: string
  readonly version: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly sizeBytes: number | undefined
}

/** Of the versions of one key the one that was current at a moment; none when it was deleted or not there yet. */
export function* newestBefore(
  versions: readonly ObjectVersion[],
  moment: number,
): Generator<ObjectVersion & { readonly sizeBytes: number }, undefined> {
  let newest: ObjectVersion | undefined
  // Times have a second's resolution; of equals the first counts, since versions are listed from the newest on.
  for (const version of versions) if (version.at <= moment && version.at > (newest?.at ?? -1)) newest = version
  if (newest?.sizeBytes === undefined) return undefined
  yield { ...newest, sizeBytes: newest.sizeBytes }
  return undefined
}
