import { keysPrefix } from './object-names.ts'

/**
 * Names of key objects. A *way in* is a passphrase, or recipients, that open the repository; it has one object for each
 * data key, and all of them share the name of the way: `keys/<data key>-<way>.asc`. The way that the repository was
 * created with has no name of its own there: `keys/<data key>.asc`. Objects that people add by hand may be called
 * anything; what they hold is then known only to who opens them.
 */
export const firstWay = 'first'

const wayPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/
const objectPattern = /^([0-9a-f]{32})(?:-(.+))?$/

export interface KeyName {
  readonly way: string
  /** Undefined where the name does not say it. */
  readonly dataKey: string | undefined
}

/** Whether a new way in can be called this. */
export function isWayName(name: string): boolean {
  return wayPattern.test(name) && name !== firstWay && !objectPattern.test(name)
}

export function keyObjectOf(dataKey: string, way: string): string {
  return `${keysPrefix}${dataKey}${way === firstWay ? '' : `-${way}`}.asc`
}

export function parseKeyObject(object: string): KeyName {
  const name = object.slice(keysPrefix.length).replace(/\.asc$/, '')
  const match = objectPattern.exec(name)
  if (match === null) return { way: name, dataKey: undefined }
  return { way: match[2] ?? firstWay, dataKey: match[1] }
}
