/**
 * Gives the memory of bytes that nobody will look at any more back at once. V8 sees to memory outside its heap only when
 * some 64 MB in a thread have become garbage; where every record makes some, that is what a process holds at its peak.
 * Bytes that share their memory with others are left alone.
 */
export function releaseMemory(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (!(buffer instanceof ArrayBuffer) || buffer.detached) return
  if (buffer.byteLength === bytes.byteLength) buffer.transfer(0)
}
