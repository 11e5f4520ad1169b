/** Names of the operators in an ONNX file, read from its protobuf without loading it: ModelProto.graph.node[].op_type. */

const GRAPH = 7;
const NODE = 1;
const OP_TYPE = 4;

/** Operators of the main graph; empty where the bytes are no ONNX file. */
export function operatorsOf(model: Uint8Array): Set<string> {
  const names = new Set<string>();
  try {
    for (const graph of fields(model, GRAPH)) {
      for (const node of fields(graph, NODE)) {
        for (const name of fields(node, OP_TYPE)) names.add(new TextDecoder().decode(name));
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    names.clear();
  }
  return names;
}

/** Length-delimited fields of a message with this number. Source: protobuf encoding guide, wire types 0, 1, 2 and 5. */
function* fields(message: Uint8Array, number: number): Generator<Uint8Array> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError("ends within a number");
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const type = key & 7;
    if (type === 0) varint();
    else if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === 2) {
      const length = varint();
      if (at + length > message.length) throw new RangeError("ends within a field");
      if (Math.floor(key / 8) === number) yield message.subarray(at, at + length);
      at += length;
    } else throw new RangeError(`no wire type ${type}`);
  }
}
