/** The replication slot of a node: PostgreSQL allows lower-case letters, digits and underscores. */
export function slotName(node: string): string {
  return `holdfast_${node.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`
}
