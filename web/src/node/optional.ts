/** Packages that are asked for only where they are needed. */
import { UsageError } from "../errors.js";

/** The module of a package. purpose: what it is needed for. Throws UsageError where it is not installed. */
export async function optional<T>(name: string, purpose: string): Promise<T> {
  try {
    const found = (await import(/* @vite-ignore */ name)) as T & { default?: T };
    return found.default ?? found;
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw new UsageError(`${purpose} needs the package ${name}, which fails here: ${firstLine(error)}`);
    throw new UsageError(`${purpose} needs the package ${name}; install it with \`npm install ${name}\``);
  }
}

function firstLine(error: unknown): string {
  return (error as Error).message.split("\n")[0]!;
}
