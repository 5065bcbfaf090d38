/** The directory that has the migrations, the console and the SDK’s operations: above `server/`, and above `dist/` alike. */
export const checkout = new URL('..', import.meta.url)
