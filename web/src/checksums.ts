/** Checksums: SHA-256 of model files, CRC-32 and Adler-32 of PNG and zlib. */
import { sha256 as sha256InScript } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** SHA-256 in lower-case hex digits. Pages that are not secure (http on a local network) lack the browser's own; there a library does it. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  return bytesToHex(subtle ? new Uint8Array(await subtle.digest("SHA-256", bytes)) : sha256InScript(bytes));
}

// Our own from here: fflate, which deflates, keeps its checksums to itself, and two of them cannot be joined.

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32 (PNG, annex D); `before` continues an earlier one. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let value = ~before;
  for (let i = 0; i < bytes.length; i++) value = CRC[(value ^ bytes[i]!) & 255]! ^ (value >>> 8);
  return ~value >>> 0;
}

const MODULUS = 65521;
const PIECE = 3800; // bytes: sums stay below 2^32

/** Adler-32 (RFC 1950, section 8.2). */
export function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(at + PIECE, bytes.length);
    for (; at < end; at++) b += a += bytes[at]!;
    a %= MODULUS;
    b %= MODULUS;
  }
  return ((b << 16) | a) >>> 0;
}

/** Adler-32 of two pieces in a row. first, second: of each piece; length: bytes of the second, each of which adds the first's a to b. */
export function joinAdler32(first: number, second: number, length: number): number {
  const [a1, b1, a2, b2] = [first & 65535, first >>> 16, second & 65535, second >>> 16];
  const a = (a1 + a2 + MODULUS - 1) % MODULUS;
  const b = (b1 + b2 + ((length % MODULUS) * (a1 + MODULUS - 1)) % MODULUS) % MODULUS;
  return ((b << 16) | a) >>> 0;
}
