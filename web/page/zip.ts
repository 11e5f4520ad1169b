/**
 * A zip file whose members are stored as they are: pictures are compressed already.
 *
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (its end).
 */
import { crc32 } from "../src/images/png-write.js";

const VERSION = 20;
const UTF8 = 1 << 11;
const MOST = 0xffffffff; // sizes and offsets have 32 bits
const SLICE = 1 << 20; // checked at once, so that the page stays awake

export interface Member {
  name: string;
  content: Blob;
}

/** Throws RangeError where the members are too large together. */
export async function zipped(members: Member[], at = new Date()): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: BlobPart[] = [];
  let offset = 0;
  let directoryBytes = 0;
  for (const { name, content } of members) {
    const path = new TextEncoder().encode(name);
    const common = [VERSION, UTF8, 0, timeOf(at), dateOf(at)];
    const sizes = [await checksum(content), content.size, content.size];
    const local = header(30, 0x04034b50, common, sizes, [path.length, 0]);
    const central = header(46, 0x02014b50, [VERSION, ...common], sizes, [path.length, 0, 0, 0, 0], [0, offset]);
    parts.push(local, path, content);
    directory.push(central, path);
    offset += local.length + path.length + content.size;
    directoryBytes += central.length + path.length;
    if (offset > MOST || members.length > 0xffff) throw new RangeError("the photos are too many or too large for one zip file");
  }
  const end = header(22, 0x06054b50, [0, 0, members.length, members.length], [directoryBytes, offset], [0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Names that differ: the second `cat.png` becomes `cat-2.png`. */
export function distinct(names: string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const [, stem, ending] = /^(.*?)(\.[^.]*)?$/s.exec(name)!;
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) free = `${stem}-${n}${ending ?? ""}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

/** A signature, then groups of 16-bit, 32-bit, 16-bit, 32-bit numbers, little-endian. */
function header(length: number, signature: number, ...groups: number[][]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(length));
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [i, group] of groups.entries()) {
    for (const value of group) {
      if (i % 2) view.setUint32(at, value, true);
      else view.setUint16(at, value, true);
      at += i % 2 ? 4 : 2;
    }
  }
  return new Uint8Array(view.buffer);
}

async function checksum(content: Blob): Promise<number> {
  let sum = 0;
  for (let at = 0; at < content.size; at += SLICE) {
    sum = crc32(new Uint8Array(await content.slice(at, at + SLICE).arrayBuffer()), sum);
  }
  return sum;
}

function timeOf(date: Date): number {
  return (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
}

function dateOf(date: Date): number {
  return ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
}
