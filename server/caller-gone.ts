/** The caller has hung up: there is nobody to answer, and nothing that was not done yet is done on their behalf. */
export class CallerGone extends Error {}
