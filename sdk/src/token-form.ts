const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const randomCharacters = 43
const checksumCharacters = 6

/**
 * Tells what may be a token from what cannot: `<prefix>i_` or `<prefix>p_`, 43 base62 characters and 6 of a CRC-32 over
 * all before them. Sessions and services' secrets are none.
 */
export function createFormCheck(prefix: string): (text: unknown) => boolean {
  const start = prefix.length + 2
  const end = start + randomCharacters
  const beginnings = [`${prefix}i_`, `${prefix}p_`]
  return (text) =>
    typeof text === 'string' &&
    text.length === end + checksumCharacters &&
    beginnings.some((beginning) => text.startsWith(beginning)) &&
    !Number.isNaN(readBase62(text, start, end)) &&
    readBase62(text, end, text.length) === crc32(text, end)
}

const digitOf = Float64Array.from({ length: 128 }, (_, code) => {
  const digit = alphabet.indexOf(String.fromCharCode(code))
  return digit < 0 ? Number.NaN : digit
})

/** NaN where a character is no digit. */
function readBase62(text: string, start: number, end: number): number {
  let value = 0
  for (let at = start; at < end; at++) value = value * 62 + (digitOf[text.charCodeAt(at)] ?? Number.NaN)
  return value
}

const crcOfByte = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

function crc32(ascii: string, end: number): number {
  let crc = 0xffffffff
  for (let index = 0; index < end; index++) {
    crc = (crc >>> 8) ^ (crcOfByte[(crc ^ ascii.charCodeAt(index)) & 0xff] ?? 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}
