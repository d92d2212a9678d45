/** The slot of a repository's archiver. No node may be called like this: `node.name` does not begin with `archive-`. */
export function archiverSlot(repository: string): string {
  return `holdfast_archive_${repository.replaceAll('-', '_')}`
}
