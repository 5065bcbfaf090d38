import { hash } from 'node:crypto'
import type { Answer } from './answer.ts'

/** What a browser could do for a page, and none of these pages needs. A new secret is taken along by the clipboard. */
const permissionsPolicy = [
  'clipboard-write=(self)',
  ...[
    'accelerometer',
    'autoplay',
    'camera',
    'clipboard-read',
    'display-capture',
    'encrypted-media',
    'fullscreen',
    'geolocation',
    'gyroscope',
    'hid',
    'idle-detection',
    'local-fonts',
    'magnetometer',
    'microphone',
    'midi',
    'payment',
    'picture-in-picture',
    'publickey-credentials-create',
    'publickey-credentials-get',
    'screen-wake-lock',
    'serial',
    'usb',
    'xr-spatial-tracking',
  ].map((feature) => `${feature}=()`),
].join(', ')

/** What a page and its files say beyond every answer’s headers: what may run there, and that no other site has a door to it. */
export function pageHeaders(contentSecurityPolicy: string): Record<string, string> {
  return {
    'content-security-policy': contentSecurityPolicy,
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': permissionsPolicy,
  }
}

/** How a content security policy names an inline script or style. */
export const sourceHash = (text: string) => `'sha256-${hash('sha256', text, 'base64')}'`

const style =
  ':root{color-scheme:light dark;background:Canvas;color:CanvasText;font:1rem/1.5 system-ui,sans-serif}main{max-width:36rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.5rem}'
const plainPolicy = `default-src 'none'; style-src ${sourceHash(style)}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** A page that says one thing. Its words are the server’s own: nothing in them is escaped. */
interface PlainPage {
  title: string
  text: string
  link: { href: string; text: string }
}

export function answerPage(
  response: Answer,
  status: number,
  { title, text, link }: PlainPage,
  headers: Record<string, string> = {},
): void {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – Latchkey</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${text}</p>
<p><a href="${link.href}">${link.text}</a></p>
</main>
</body>
</html>
`
  response.setCommonHeaders().writeHead(status, {
    ...pageHeaders(plainPolicy),
    ...headers,
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(html),
  })
  response.end(html)
}
