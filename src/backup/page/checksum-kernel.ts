import { checksumBaseOffsets, checksumOffset, fnvPrime, pageBytes } from './checksum-page.ts'
import { assembleModule, type Code, op, valueTypes } from './wasm-assembler.ts'

/**
 * Checksums of many pages at once, faster than memory delivers them: the same sums as `checksumPage`, held in eight 128-bit vectors
 * of four. Pages are read straight into the kernel's own memory (`pages`), so nothing is copied.
 */
export interface ChecksumKernel {
  /** Room for `capacityPages` pages; fill it, then call `checksums`. */
  readonly pages: Uint8Array<ArrayBuffer>
  readonly capacityPages: number
  /** Expected checksums of the first `count` pages, which are blocks `firstBlock` and on of their relation fork. */
  checksums(count: number, firstBlock: number): Uint16Array
}

// Node 24 has WebAssembly, but neither its types nor the ESNext library declare it.
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
  readonly Instance: new (
    module: object,
    imports: { host: { memory: object } },
  ) => { readonly exports: Readonly<Record<string, (...operands: number[]) => void>> }
}

const wasmPageBytes = 65536
const vectorBytes = 16
const vectorsPerRow = 8
const rowBytes = vectorBytes * vectorsPerRow

export function createChecksumKernel(capacityPages: number): ChecksumKernel {
  const pagesBytes = capacityPages * pageBytes
  const size = Math.ceil((pagesBytes + capacityPages * 2) / wasmPageBytes)
  const memory = new WebAssembly.Memory({ initial: size, maximum: size })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(checksumModule()), { host: { memory } })
  const run = instance.exports['checksums']
  if (run === undefined) throw new Error('the checksum module exports no kernel')
  const pages = new Uint8Array(memory.buffer, 0, pagesBytes)
  const results = new Uint16Array(memory.buffer, pagesBytes, capacityPages)
  return {
    pages,
    capacityPages,
    checksums: (count, firstBlock) => {
      if (count > capacityPages) throw new RangeError(`${count} pages do not fit a kernel of ${capacityPages}`)
      run(0, count * pageBytes, firstBlock, pagesBytes)
      return results.subarray(0, count)
    },
  }
}

/** The bytes of the module: `checksums(page, end, block, result)`, addresses in bytes. */
export function checksumModule(): Uint8Array<ArrayBuffer> {
  return assembleModule({
    name: 'checksums',
    parameterCount: 4,
    locals: [
      { count: 1, type: valueTypes.i32 },
      { count: vectorsPerRow + 2, type: valueTypes.v128 },
    ],
    body: kernelBody(),
  })
}

// Parameters and locals by index.
const page = 0
const end = 1
const block = 2
const result = 3
const rowEnd = 4
const sum = (vector: number): number => 5 + vector
const mixed = 5 + vectorsPerRow
const prime = mixed + 1

/** All bits but the 16 of the checksum, in the vector of the page that holds it. */
const withoutChecksum = [-1, -1, -1, -1].map((lane, index) => (index === checksumOffset / 4 ? 0xffff_0000 : lane))

function kernelBody(): Code {
  return [
    ...op.returnIf([...op.localGet(page), ...op.localGet(end), ...op.i32LtU, ...op.i32Eqz]),
    ...op.v128Const([fnvPrime, fnvPrime, fnvPrime, fnvPrime]),
    ...op.localSet(prime),
    ...op.loopWhile(onePage(), [...op.localGet(page), ...op.localGet(end), ...op.i32LtU]),
  ]
}

function onePage(): Code {
  return [
    ...eachVector((vector) => [
      ...op.v128Const(checksumBaseOffsets.slice(vector * 4, vector * 4 + 4)),
      ...op.localSet(sum(vector)),
    ]),
    ...add(op.localGet(page), pageBytes),
    ...op.localSet(rowEnd),
    ...eachVector((vector) => mixVector(vector, vector === 0 ? [...op.v128Const(withoutChecksum), ...op.v128And] : [])),
    ...add(op.localGet(page), rowBytes),
    ...op.localSet(page),
    ...op.loopWhile(
      [...eachVector((vector) => mixVector(vector, [])), ...add(op.localGet(page), rowBytes), ...op.localSet(page)],
      [...op.localGet(page), ...op.localGet(rowEnd), ...op.i32LtU],
    ),
    ...eachVector(mixZero),
    ...eachVector(mixZero),
    ...storeFolded(),
    ...add(op.localGet(block), 1),
    ...op.localSet(block),
    ...add(op.localGet(result), 2),
    ...op.localSet(result),
  ]
}

/** sum = (sum ^ words) * prime ^ ((sum ^ words) >>> 17) */
function mixVector(vector: number, mask: Code): Code {
  return [
    ...op.localGet(page),
    ...op.v128Load(vector * vectorBytes),
    ...mask,
    ...op.localGet(sum(vector)),
    ...op.v128Xor,
    ...op.localSet(mixed),
    ...scramble(mixed, vector),
  ]
}

function mixZero(vector: number): Code {
  return scramble(sum(vector), vector)
}

function scramble(from: number, vector: number): Code {
  return [
    ...op.localGet(from),
    ...op.localGet(prime),
    ...op.i32x4Mul,
    ...op.localGet(from),
    ...op.i32Const(17),
    ...op.i32x4ShrU,
    ...op.v128Xor,
    ...op.localSet(sum(vector)),
  ]
}

/** Folds the 32 sums and the block number to one word, then to 1 to 65535, and stores it. */
function storeFolded(): Code {
  return [
    ...op.localGet(result),
    ...op.localGet(sum(0)),
    ...eachVector((vector) => (vector === 0 ? [] : [...op.localGet(sum(vector)), ...op.v128Xor])),
    ...op.localSet(mixed),
    ...op.localGet(block),
    ...[0, 1, 2, 3].flatMap((lane) => [...op.localGet(mixed), ...op.i32x4ExtractLane(lane), ...op.i32Xor]),
    ...op.i32Const(65535),
    ...op.i32RemU,
    ...add([], 1),
    ...op.i32Store16(0),
  ]
}

function eachVector(code: (vector: number) => Code): Code {
  return Array.from({ length: vectorsPerRow }, (_, vector) => code(vector)).flat()
}

function add(operand: Code, constant: number): Code {
  return [...operand, ...op.i32Const(constant), ...op.i32Add]
}
