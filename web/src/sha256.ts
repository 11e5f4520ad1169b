/** SHA-256. Browsers offer it on secure pages (https, localhost); on others, such as http on a local network, a library computes it. */
import { sha256 as sha256InScript } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** Lower-case hex digest. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  return bytesToHex(subtle ? new Uint8Array(await subtle.digest("SHA-256", bytes)) : sha256InScript(bytes));
}
