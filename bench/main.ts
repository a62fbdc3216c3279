import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/**
 * Runs the benches one after the other, each in a process of its own: `npm run bench`, `npm run bench -- sync store`,
 * `npm run bench -- sync -- --sizes 1000000`. Words after the second `--` go to the bench, so name one then.
 */
const BENCHES = ["actors", "record", "tree", "store", "transport", "sync", "facade", "rotation"];

const words = process.argv.slice(2);
const end = words.indexOf("--");
const named = words.slice(0, end === -1 ? undefined : end).filter((word) => !word.startsWith("--"));
const flags = end === -1 ? words.filter((word) => word.startsWith("--")) : words.slice(end + 1);
const unknown = named.filter((name) => !BENCHES.includes(name));

if (unknown.length > 0) {
  console.error(`there is no bench ${unknown.join(", ")}: take ${BENCHES.join(", ")}`);
  process.exitCode = 2;
} else {
  for (const name of named.length === 0 ? BENCHES : named) {
    console.error(`\n==> ${name}`);
    const path = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
    const [code] = (await once(spawn(process.execPath, [path, ...flags], { stdio: "inherit" }), "exit")) as [number | null];
    if (code !== 0) {
      console.error(`the bench ${name} ended with ${code ?? "a signal"}`);
      process.exitCode = 1;
    }
  }
}
