/** How files are fetched, and what is known of the connection. */
export function get(url: string, init?: RequestInit): Promise<Response> {
  return fetch(url, init);
}

export function isOffline(): boolean {
  return navigator.onLine === false;
}

/** Where the page is from: other hosts must allow it to read their files. */
export function ownOrigin(): { origin: string; host: string } {
  return self.location;
}

/** One after the other, also in other tabs. */
export async function alone(name: string, work: () => Promise<void>): Promise<void> {
  await (navigator.locks ? navigator.locks.request(name, work) : work());
}

/** What relative URLs are relative to. Workers have no document. */
export function pageUrl(): string {
  return globalThis.document?.baseURI ?? self.location.href;
}
