import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { pinoLog, type LogOptions } from "../../../src/adapters/system/log.ts";
import type { Log } from "../../../src/ports/log.ts";

function capture(options: LogOptions, use: (log: Log) => void): string[] {
  const lines: string[] = [];
  use(pinoLog({ ...options, destination: { write: (line) => lines.push(line) } }));
  return lines;
}

describe("system: log", () => {
  it("writes one JSON object a line, with level, time, message and fields", () => {
    const [line] = capture({}, (log) => log.child({ actor: "catalog" }).info("committed", { agents: 3 }));
    const event = JSON.parse(line as string) as Record<string, unknown>;
    assert.ok(line?.endsWith("\n"));
    assert.equal(event["level"], "info");
    assert.equal(event["msg"], "committed");
    assert.equal(event["actor"], "catalog");
    assert.equal(event["agents"], 3);
    assert.ok(!Number.isNaN(Date.parse(event["time"] as string)));
  });

  it("writes nothing below its level", () => {
    const write = (log: Log): void => {
      log.debug("a");
      log.info("b");
      log.warn("c");
      log.error("d");
    };
    assert.equal(capture({}, write).length, 3);
    assert.equal(capture({ level: "error" }, write).length, 1);
    assert.equal(capture({ level: "debug" }, write).length, 4);
    assert.equal(capture({ level: "silent" }, write).length, 0);
  });

  it("blanks private keys, at the top, one level down and in a child", () => {
    for (const pretty of [false, true]) {
      const lines = capture({ pretty }, (log) => {
        log.info("a", { privateKey: "hunter2", key: { privateKey: "hunter2" } });
        log.child({ privateKey: "hunter2" }).info("b");
      });
      assert.equal(lines.length, 2);
      assert.ok(lines.every((line) => line.includes("[redacted]") && !line.includes("hunter2")));
    }
  });

  it("writes a line for people: time, level, message, fields", () => {
    const [line] = capture({ pretty: true }, (log) => log.warn("peer is slow", { peer: "12D3", rttMs: 812, note: "two words" }));
    assert.match(
      stripVTControlCharacters(line as string),
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}peer is slow peer=12D3 rttMs=812 note="two words"\n$/,
    );
  });

  it("T51 lets no control character of a peer's text reach the terminal", () => {
    const [line] = capture({ pretty: true }, (log) => log.info("name", { name: "\u001b[2Jevil\u009b\u202e\nline" }));
    const plain = stripVTControlCharacters(line as string).trimEnd();
    assert.doesNotMatch(plain, /\p{C}/u);
    assert.ok((line as string).includes("evil"));
    assert.ok(!(line as string).includes("\u001b[2J"));
  });

  it("shows the stack of an error", () => {
    const [line] = capture({ pretty: true }, (log) => log.error("failed", { err: new Error("disk") }));
    assert.match(line as string, /Error: disk\n {4}/);
  });
});
