const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const checksumCharacters = 6

/**
 * Tells what may be a token from what cannot: `<prefix>i_` or `<prefix>p_`, 43 base62 characters and 6 of a CRC-32 over
 * all before them. Sessions and services' secrets are none.
 */
export function createFormCheck(prefix: string): (text: unknown) => boolean {
  const form = new RegExp(`^${prefix}[ip]_[0-9A-Za-z]{49}$`)
  return (text) =>
    typeof text === 'string' &&
    form.test(text) &&
    checksum(text.slice(0, -checksumCharacters)) === text.slice(-checksumCharacters)
}

function checksum(body: string): string {
  let text = ''
  for (let rest = crc32(body); text.length < checksumCharacters; rest = Math.floor(rest / 62)) {
    text = alphabet.charAt(rest % 62) + text
  }
  return text
}

const crcOfByte = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

function crc32(ascii: string): number {
  let crc = 0xffffffff
  for (let index = 0; index < ascii.length; index++) {
    crc = (crc >>> 8) ^ (crcOfByte[(crc ^ ascii.charCodeAt(index)) & 0xff] ?? 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
