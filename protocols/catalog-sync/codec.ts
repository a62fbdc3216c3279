import { HEAD_BYTES_MAX, decodeHead, encodeHead } from "../checkpoint/head.ts";
import { readPrefix, writePrefix, type Prefix } from "../checkpoint/prefix.ts";
import { WireReader, WireWriter } from "../lib/wire.ts";
import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { DID_LENGTH_MAX } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { FRAME_BYTES_MAX } from "../lib/frames.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { RECORD_BYTES_MAX } from "../record/record.ts";
import {
  BATCH_RECORDS_MAX,
  DESCENT_BITS_MAX,
  DESCENT_HINTS_MAX,
  DESCENT_PREFIXES_MAX,
  FRONTIER_ENTRIES_MAX,
  FRONTIER_FRAME_ENTRIES,
  HINT_BYTES_FULL,
  HINT_BYTES_SHORT,
  LOG_FRAME_LEAVES,
  LOG_LEAVES_MAX,
  REFUSAL_CODES,
  SALT_BYTES,
  type BatchEntry,
  type BatchFrame,
  type ClientMessage,
  type FrontierEntry,
  type ServerMessage,
} from "./messages.ts";

/** Frame layouts: README.md, "Frames". The first byte is the type, integers are big-endian. */
const TYPE = {
  request: 1,
  compare: 2,
  fetch: 3,
  refusal: 16,
  header: 17,
  log: 18,
  frontier: 19,
  differs: 20,
  batch: 21,
  end: 22,
} as const;
const OP = { put: 1, delete: 2, keep: 3 } as const;

export function encodeClientMessage(message: ClientMessage): Uint8Array {
  const w = new WireWriter().u8(TYPE[message.kind]).sized(utf8(message.registry));
  if (message.kind === "request") {
    return w.u32(message.epoch).raw(u48(message.baseSize)).raw(message.baseRoot).raw(u48(message.logSize)).finish();
  }
  if (message.kind === "fetch") w.u32(message.epoch).raw(u48(message.logSize));
  w.raw(message.salt).u8(message.hintBytes);
  if (message.kind === "compare") w.u8(message.bits);
  w.u8(message.more ? 1 : 0).u32(message.prefixes.length);
  message.prefixes.forEach((prefix, i) => {
    writePrefix(w, prefix);
    if (message.kind === "fetch") w.u32(message.leaves[i] as number);
  });
  return w.raw(message.hints).finish();
}

/** @throws ProtocolError `bad_frame`, `truncated`, `limit_exceeded`, `too_large`, `bad_prefix`, `not_utf8` */
export function decodeClientMessage(frame: Uint8Array): ClientMessage {
  const r = new WireReader(frame, FRAME_BYTES_MAX);
  const type = r.u8();
  if (type !== TYPE.request && type !== TYPE.compare && type !== TYPE.fetch) throw unknownType(type);
  const registry = fromUtf8(r.sized(DID_LENGTH_MAX));
  if (type === TYPE.request) {
    const epoch = r.u32();
    const message = { kind: "request", registry, epoch, baseSize: readU48(r), baseRoot: r.hash(), logSize: readU48(r) } as const;
    r.end();
    return message;
  }
  const catalogue = type === TYPE.fetch ? { epoch: r.u32(), logSize: readU48(r) } : undefined;
  const salt = r.raw(SALT_BYTES);
  const hintBytes = r.u8();
  if (hintBytes !== HINT_BYTES_SHORT && hintBytes !== HINT_BYTES_FULL) {
    throw new ProtocolError("bad_frame", `hints have ${HINT_BYTES_SHORT} or ${HINT_BYTES_FULL} bytes, not ${hintBytes}`);
  }
  const bits = catalogue === undefined ? r.u8() : 0;
  if (bits > DESCENT_BITS_MAX)
    throw new ProtocolError("limit_exceeded", `${bits} bits below a prefix, at most ${DESCENT_BITS_MAX}`);
  const more = readFlag(r, "more");
  const prefixes: Prefix[] = [];
  const leaves: number[] = [];
  const count = r.count(4, DESCENT_PREFIXES_MAX, "prefixes");
  for (let i = 0; i < count; i++) {
    prefixes.push(readPrefix(r));
    leaves.push(catalogue === undefined ? 2 ** bits : r.count(4, DESCENT_HINTS_MAX, "leaf hints"));
  }
  const hints = r.raw(leaves.reduce((sum, n) => sum + n, 0) * hintBytes);
  r.end();
  const common = { registry, salt, hintBytes, prefixes, hints, more };
  return catalogue === undefined ? { kind: "compare", bits, ...common } : { kind: "fetch", leaves, ...catalogue, ...common };
}

export function encodeServerMessage(message: ServerMessage): Uint8Array {
  const w = new WireWriter().u8(TYPE[message.kind]);
  switch (message.kind) {
    case "refusal":
      return w.u8(REFUSAL_CODES.indexOf(message.code)).u32(message.retryAfterMs).finish();
    case "header":
      w.u8(message.mode === "delta" ? 0 : 1)
        .u32(message.logLeaves)
        .u32(message.frontierEntries)
        .u32(message.changes);
      return w.raw(encodeHead(message.head)).finish();
    case "log":
      return w.raw(message.leaves).finish();
    case "frontier":
      for (const entry of message.entries) {
        writePrefix(w, entry.prefix);
        w.raw(entry.hash).u16(entry.changes);
      }
      return w.finish();
    case "differs":
      w.u8(message.more ? 1 : 0);
      for (const prefix of message.prefixes) writePrefix(w, prefix);
      return w.finish();
    case "batch":
      w.u32(message.entry).u8(message.last ? 1 : 0);
      for (const entry of message.entries) writeBatchEntry(w, entry);
      return w.finish();
    case "end":
      return w.finish();
  }
}

/** @throws ProtocolError `bad_frame`, `truncated`, `limit_exceeded`, `too_large`, `bad_prefix`, `not_utf8` */
export function decodeServerMessage(frame: Uint8Array): ServerMessage {
  const r = new WireReader(frame, FRAME_BYTES_MAX);
  const type = r.u8();
  switch (type) {
    case TYPE.refusal: {
      const code = REFUSAL_CODES[r.u8()];
      if (code === undefined) throw new ProtocolError("bad_frame", "an unknown refusal code");
      const retryAfterMs = r.u32();
      r.end();
      return { kind: "refusal", code, retryAfterMs };
    }
    case TYPE.header: {
      const mode = readFlag(r, "mode") ? "replace" : "delta";
      const logLeaves = r.count(4, LOG_LEAVES_MAX, "log leaves");
      const frontierEntries = r.count(4, FRONTIER_ENTRIES_MAX, "frontier entries");
      const changes = r.count(4, FRONTIER_ENTRIES_MAX * BATCH_RECORDS_MAX, "changes");
      const head = decodeHead(r.raw(Math.min(r.left, HEAD_BYTES_MAX)));
      r.end();
      return { kind: "header", mode, logLeaves, frontierEntries, changes, head };
    }
    case TYPE.log: {
      const leaves = r.raw(r.left);
      if (leaves.length === 0 || leaves.length % HASH_BYTES !== 0 || leaves.length > LOG_FRAME_LEAVES * HASH_BYTES) {
        throw new ProtocolError("bad_frame", `a log frame holds 1 to ${LOG_FRAME_LEAVES} hashes of ${HASH_BYTES} bytes`);
      }
      return { kind: "log", leaves };
    }
    case TYPE.frontier: {
      const entries: FrontierEntry[] = [];
      while (r.left > 0) {
        if (entries.length === FRONTIER_FRAME_ENTRIES) throw tooMany("frontier entries", FRONTIER_FRAME_ENTRIES);
        const prefix = readPrefix(r);
        const hash = r.hash();
        entries.push({ prefix, hash, changes: r.count(2, BATCH_RECORDS_MAX, "changes under one prefix") });
      }
      if (entries.length === 0) throw new ProtocolError("bad_frame", "a frontier frame holds at least one entry");
      return { kind: "frontier", entries };
    }
    case TYPE.differs: {
      const more = readFlag(r, "more");
      const prefixes: Prefix[] = [];
      while (r.left > 0) {
        if (prefixes.length === DESCENT_PREFIXES_MAX) throw tooMany("prefixes", DESCENT_PREFIXES_MAX);
        prefixes.push(readPrefix(r));
      }
      return { kind: "differs", more, prefixes };
    }
    case TYPE.batch:
      return readBatch(r);
    case TYPE.end:
      r.end();
      return { kind: "end" };
    default:
      throw unknownType(type);
  }
}

/** Bytes that an entry takes in a batch frame. */
export function batchEntryBytes(entry: BatchEntry): number {
  return entry.op === "put" ? 1 + HASH_BYTES + 4 + entry.record.length : entry.op === "delete" ? 1 + HASH_BYTES : 5;
}

function writeBatchEntry(w: WireWriter, entry: BatchEntry): void {
  w.u8(OP[entry.op]);
  if (entry.op === "keep") w.u32(entry.leaf);
  else w.raw(entry.key);
  if (entry.op === "put") w.u32(entry.record.length).raw(entry.record);
}

function readBatch(r: WireReader): BatchFrame {
  const entry = r.u32();
  const last = readFlag(r, "last");
  const entries: BatchEntry[] = [];
  while (r.left > 0) {
    if (entries.length === BATCH_RECORDS_MAX) throw tooMany("entries in a batch", BATCH_RECORDS_MAX);
    const op = r.u8();
    if (op === OP.keep) entries.push({ op: "keep", leaf: r.u32() });
    else if (op === OP.delete) entries.push({ op: "delete", key: r.hash() });
    else if (op === OP.put) {
      const key = r.hash();
      entries.push({ op: "put", key, record: r.raw(r.count(4, RECORD_BYTES_MAX, "bytes in a record")) });
    } else throw new ProtocolError("bad_frame", `unknown operation ${op} in a batch`);
  }
  return { kind: "batch", entry, last, entries };
}

function readFlag(r: WireReader, name: string): boolean {
  const flag = r.u8();
  if (flag > 1) throw new ProtocolError("bad_frame", `${name} is 0 or 1, not ${flag}`);
  return flag === 1;
}

function u48(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}

function readU48(r: WireReader): number {
  return Buffer.from(r.raw(6)).readUIntBE(0, 6);
}

function unknownType(type: number): ProtocolError {
  return new ProtocolError("bad_frame", `unknown frame type ${type}`, { type });
}

function tooMany(what: string, max: number): ProtocolError {
  return new ProtocolError("limit_exceeded", `more than ${max} ${what}`, { max });
}
