/** What is used of Node: its own types would replace those of browsers. */
declare module "node:fs/promises" {
  export function readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  export function writeFile(path: string, content: Uint8Array): Promise<void>;
  export function mkdtemp(start: string): Promise<string>;
  export function rm(path: string, options: { recursive: boolean }): Promise<void>;
}
declare module "node:os" {
  export function tmpdir(): string;
  export function availableParallelism(): number;
}
declare module "node:path" {
  export function join(...parts: string[]): string;
  export function basename(path: string): string;
}
declare module "node:url" {
  export function fileURLToPath(url: string | URL): string;
  export function pathToFileURL(path: string): URL;
}
declare const process: { cwd(): string; memoryUsage(): { rss: number } };
