import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import type { Frames } from "../protocols/lib/frames.ts";
import { createLibp2pNetwork } from "../src/adapters/libp2p/network.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import type { Log } from "../src/ports/log.ts";
import type { Network } from "../src/ports/network.ts";

/** What the encrypted transport gives between two processes over the loopback: the floor under every sync. */

const PROTOCOL = "/theprotocol/bench-transport/1.0.0";
const FRAME_SIZES_BYTES = [16_384, 65_536, 131_072, 262_144, 1_048_576];
const MEBIBYTE = 1_048_576;
const PINGS = 500;
const STREAMS_OPENED = 100;
const TIMEOUT_MS = 120_000;

interface Row {
  readonly frameBytes: number;
  readonly megabytesPerSecond: number;
}

interface Result {
  readonly bench: "transport";
  readonly megabytes: number;
  readonly throughput: readonly Row[];
  readonly echoMs: { readonly p50: number; readonly p99: number };
  readonly openStreamMs: { readonly p50: number; readonly p99: number };
  readonly receiverRssMegabytes: number;
}

const drop = (): void => undefined;
const log: Log = { debug: drop, info: drop, warn: drop, error: drop, child: () => log };

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    megabytes: { type: "string", default: "256" },
    serve: { type: "boolean", default: false },
  },
});

await (values.serve ? serve() : measure(Number(values.megabytes)));

async function start(): Promise<Network> {
  const network = createLibp2pNetwork({
    key: randomBytes(32),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    log,
    clock: systemClock(),
    topics: [],
  });
  await network.start();
  return network;
}

/** The sending process: a request names the size and the number of the frames to send. */
async function serve(): Promise<void> {
  const network = await start();
  network.handle(PROTOCOL, send, { streamsPerPeerMax: 4 });
  process.on("disconnect", () => void network.stop());
  process.send?.(network.addresses());
}

async function send(frames: Frames): Promise<void> {
  for (let request = await frames.receive(); request !== undefined; request = await frames.receive()) {
    const view = Buffer.from(request);
    const frame = randomBytes(view.readUInt32BE(0));
    for (let left = view.readUInt32BE(4); left > 0; left--) await frames.send(frame);
  }
  await frames.close();
}

async function measure(megabytes: number): Promise<void> {
  const network = await start();
  const child = fork(import.meta.filename, ["--serve"]);
  try {
    const addresses = await firstMessage(child);
    const peerId = await network.connect({ addresses }, deadline());
    const throughput: Row[] = [];
    await receive(network, peerId, 65_536, 32 * MEBIBYTE);
    for (const frameBytes of FRAME_SIZES_BYTES) {
      const seconds = await receive(network, peerId, frameBytes, megabytes * MEBIBYTE);
      throughput.push({ frameBytes, megabytesPerSecond: round((megabytes * MEBIBYTE) / 1e6 / seconds) });
    }
    const echoMs = await repeat(PINGS, () => network.ping(peerId, deadline()));
    const openStreamMs = await repeat(STREAMS_OPENED, () => openAndClose(network, peerId));
    const receiverRssMegabytes = Math.round(process.memoryUsage().rss / 1e6);
    print({ bench: "transport", megabytes, throughput, echoMs, openStreamMs, receiverRssMegabytes });
  } finally {
    child.disconnect();
    await network.stop();
  }
}

async function receive(network: Network, peerId: string, frameBytes: number, totalBytes: number): Promise<number> {
  const frames = await network.open(peerId, PROTOCOL, deadline());
  const count = Math.ceil(totalBytes / frameBytes);
  const request = Buffer.alloc(8);
  request.writeUInt32BE(frameBytes, 0);
  request.writeUInt32BE(count, 4);
  const began = performance.now();
  await frames.send(request);
  for (let i = 0; i < count; i++) {
    if ((await frames.receive())?.length !== frameBytes) throw new Error(`frame ${i} is missing or has another length`);
  }
  const seconds = (performance.now() - began) / 1_000;
  await frames.close();
  return seconds;
}

async function openAndClose(network: Network, peerId: string): Promise<number> {
  const began = performance.now();
  const frames = await network.open(peerId, PROTOCOL, deadline());
  const took = performance.now() - began;
  await frames.close();
  await frames.receive();
  return took;
}

async function repeat(times: number, once: () => Promise<number>): Promise<{ p50: number; p99: number }> {
  const took: number[] = [];
  for (let i = 0; i < times; i++) took.push(await once());
  took.sort((a, b) => a - b);
  const at = (share: number): number => round(took[Math.floor(share * (times - 1))] as number);
  return { p50: at(0.5), p99: at(0.99) };
}

function firstMessage(child: ChildProcess): Promise<string[]> {
  return new Promise((resolve, reject) => {
    child.once("message", (message) => resolve(message as string[]));
    child.once("exit", (code) => reject(new Error(`the sending process ended with ${code} before it listened`)));
  });
}

function deadline(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(TIMEOUT_MS) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function print(result: Result): void {
  if (values.json) {
    console.log(JSON.stringify(result));
    return;
  }
  console.log(`${result.megabytes} MiB a row, two processes, loopback, TCP + noise + yamux`);
  console.log("| frame bytes | MB/s |\n|---:|---:|");
  for (const { frameBytes, megabytesPerSecond } of result.throughput) console.log(`| ${frameBytes} | ${megabytesPerSecond} |`);
  console.log(`echo on a kept stream: p50 ${result.echoMs.p50} ms, p99 ${result.echoMs.p99} ms`);
  console.log(`a new stream: p50 ${result.openStreamMs.p50} ms, p99 ${result.openStreamMs.p99} ms`);
  console.log(`receiver: ${result.receiverRssMegabytes} MB resident`);
}
