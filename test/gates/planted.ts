import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

const CONFIGURATION = [".oxlintrc.json", ".prettierrc.json", ".prettierignore", "knip.json", "tsconfig.json", "test/gates/lint"];
const GATE_TIMEOUT_MS = 60_000;

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
}

export interface Verdict {
  readonly passed: boolean;
  readonly output: string;
}

/** A throw-away project with the configuration of this one and only the files that a test plants in it. */
export class PlantedProject {
  readonly #parent: string = mkdtempSync(join(tmpdir(), "gate-"));
  readonly #directory: string = join(this.#parent, "project");
  readonly #scripts: Readonly<Record<string, string>>;

  constructor() {
    const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
    this.#scripts = manifest.scripts;
    for (const path of CONFIGURATION) cpSync(join(ROOT, path), join(this.#directory, path), { recursive: true });
    // Beside the project, where packages are found and no gate looks for files to check.
    symlinkSync(join(ROOT, "node_modules"), join(this.#parent, "node_modules"));
    this.write("package.json", JSON.stringify({ name: "planted", type: "module" }, undefined, 2) + "\n");
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.#directory, path)), { recursive: true });
    writeFileSync(join(this.#directory, path), text);
  }

  /** Copies a file of this project, with `lines` after its own. Returns the number of the first planted line. */
  plant(path: string, ...lines: readonly string[]): number {
    const text = readFileSync(join(ROOT, path), "utf8");
    this.write(path, text + lines.map((line) => `${line}\n`).join(""));
    return text.split("\n").length;
  }

  /** Runs a script of package.json as it stands there, with `words` added. */
  run(script: string, ...words: readonly string[]): Verdict {
    const command = [this.#scripts[script] ?? "false", ...words].join(" ");
    const path = [dirname(process.execPath), join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
    const environment = { ...process.env, PATH: path, NO_COLOR: "1" };
    const options = { cwd: this.#directory, shell: true, encoding: "utf8", env: environment, timeout: GATE_TIMEOUT_MS } as const;
    const { status, stdout, stderr } = spawnSync(command, options);
    return { passed: status === 0, output: stdout + stderr };
  }

  remove(): void {
    rmSync(this.#parent, { recursive: true });
  }
}
