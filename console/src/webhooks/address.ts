/** What an address is known by; the rest of it may be long, and known to few. */
export function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url
}
