/** What the first value of a query is to be: `42`, `> 0`, `<> failed`. */
export interface Expectation {
  readonly operator: Operator
  readonly value: string
}

const operators = ['<=', '>=', '<>', '=', '<', '>'] as const
type Operator = (typeof operators)[number]

/** Reads an expectation; without an operator it is the value itself. */
export function parseExpectation(text: string): Expectation {
  const given = text.trim()
  const operator = operators.find((candidate) => given.startsWith(candidate))
  return { operator: operator ?? '=', value: given.slice(operator?.length ?? 0).trim() }
}

/** Whether a value is as expected; numbers are compared as numbers. Null, or no row, never is. */
export function meets(found: string | null, { operator, value }: Expectation): boolean {
  if (found === null) return false
  const order = compare(found, value)
  switch (operator) {
    case '=':
      return order === 0
    case '<>':
      return order !== 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    case '>=':
      return order >= 0
    default:
      return operator satisfies never
  }
}

const wholeNumber = /^[+-]?\d{1,40}$/
const anyNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

function compare(a: string, b: string): number {
  if (wholeNumber.test(a) && wholeNumber.test(b)) return sign(BigInt(a), BigInt(b))
  if (anyNumber.test(a) && anyNumber.test(b)) return sign(Number(a), Number(b))
  return sign(a, b)
}

function sign<Value extends bigint | number | string>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0
}
