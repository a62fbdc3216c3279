import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

const OWNER_ONLY = 0o700;

/**
 * Makes a directory and its parents (0700) unless it is there. Node's own recursive mkdir never returns where the system says
 * "no such file" for a directory whose parent exists, as in /proc.
 * @throws the system's error
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: OWNER_ONLY });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === "ENOENT" && parent !== path && !(await exists(parent))) {
      await makeDirectory(parent);
      await mkdir(path, { mode: OWNER_ONLY });
    } else if (code !== "EEXIST" || !(await stat(path)).isDirectory()) throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
