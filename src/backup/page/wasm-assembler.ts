/**
 * Just enough of a WebAssembly assembler to write a kernel of one function over an imported memory. It exists so that
 * the kernel is readable source, assembled when it is loaded, instead of a committed binary that needs a tool chain.
 * Follows the WebAssembly core specification 2.0, §5 "Binary Format".
 */
export type Code = readonly number[]

export const valueTypes = { i32: 0x7f, v128: 0x7b } as const

const magicAndVersion: Code = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

const sections = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const

export interface Kernel {
  readonly name: string
  /** All parameters are i32; the function gives nothing back. */
  readonly parameterCount: number
  /** Locals follow the parameters in the index space, groups in this order. */
  readonly locals: readonly { readonly count: number; readonly type: number }[]
  readonly body: Code
}

/** A module that imports its memory as `host.memory` and exports `kernel` under its name. */
export function assembleModule(kernel: Kernel): Uint8Array<ArrayBuffer> {
  const parameters = Array.from({ length: kernel.parameterCount }, () => valueTypes.i32)
  const locals = kernel.locals.map((group) => [...unsigned(group.count), group.type])
  const functionBody = [...vector(locals), ...kernel.body, 0x0b]
  return Uint8Array.from([
    ...magicAndVersion,
    ...section(sections.type, vector([[0x60, ...vector(parameters.map((type) => [type])), 0x00]])),
    ...section(sections.import, vector([[...name('host'), ...name('memory'), 0x02, 0x00, 0x01]])),
    ...section(sections.function, vector([[0x00]])),
    ...section(sections.export, vector([[...name(kernel.name), 0x00, 0x00]])),
    ...section(sections.code, vector([[...unsigned(functionBody.length), ...functionBody]])),
  ])
}

/** A number as unsigned LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value >>> 0
  do {
    const low = rest & 0x7f
    rest >>>= 7
    bytes.push(rest === 0 ? low : low | 0x80)
  } while (rest !== 0)
  return bytes
}

/** A 32-bit number as signed LEB128. */
export function signed(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    const last = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
    bytes.push(last ? low : low | 0x80)
    if (last) return bytes
  }
}

const simd = (opcode: number, ...immediate: number[]): Code => [0xfd, ...unsigned(opcode), ...immediate]

/** The instructions that kernels use; names as in the text format. */
export const op = {
  localGet: (index: number): Code => [0x20, ...unsigned(index)],
  localSet: (index: number): Code => [0x21, ...unsigned(index)],
  localTee: (index: number): Code => [0x22, ...unsigned(index)],
  i32Const: (value: number): Code => [0x41, ...signed(value)],
  i32Add: [0x6a] as Code,
  i32RemU: [0x70] as Code,
  i32Xor: [0x73] as Code,
  i32LtU: [0x49] as Code,
  i32Eqz: [0x45] as Code,
  i32Store16: (offset: number): Code => [0x3b, 0x01, ...unsigned(offset)],
  /** `loop` that runs `body` again when `again` leaves a non-zero i32. */
  loopWhile: (body: Code, again: Code): Code => [0x03, 0x40, ...body, ...again, 0x0d, 0x00, 0x0b],
  returnIf: (condition: Code): Code => [...condition, 0x04, 0x40, 0x0f, 0x0b],
  v128Load: (offset: number): Code => simd(0x00, 0x04, ...unsigned(offset)),
  v128Const: (lanes: readonly number[]): Code =>
    simd(0x0c, ...new Uint8Array(Uint32Array.from(lanes, (lane) => lane >>> 0).buffer)),
  v128And: simd(0x4e),
  v128Xor: simd(0x51),
  i32x4ExtractLane: (lane: number): Code => simd(0x1b, lane),
  i32x4ShrU: simd(0xad),
  i32x4Mul: simd(0xb5),
} as const

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content]
}

function vector(items: readonly (readonly number[])[]): number[] {
  return [...unsigned(items.length), ...items.flat()]
}

function name(text: string): number[] {
  return vector([...new TextEncoder().encode(text)].map((byte) => [byte]))
}
