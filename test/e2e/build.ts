import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));
export const BINARY: string = join(ROOT, "src/cli/registry.js");

/** Builds `dist`, from which the binary runs, where a source is newer than it. @throws Error with what the compiler said */
export function ensureBuilt(): void {
  const built = join(ROOT, "dist/src/cli/main.js");
  const builtMs = existsSync(built) ? statSync(built).mtimeMs : 0;
  if (["src", "protocols"].every((folder) => newestMs(join(ROOT, folder)) < builtMs)) return;
  const options = { cwd: ROOT, encoding: "utf8" } as const;
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", "src/tsconfig.build.json"], options);
  if (status !== 0) throw new Error(`the build failed:\n${stdout}`);
}

function newestMs(folder: string): number {
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return Math.max(...sources.map((path) => statSync(join(folder, path)).mtimeMs));
}
