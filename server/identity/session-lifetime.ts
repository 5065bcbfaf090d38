/** A session that has not been used for so long has ended. */
export const sessionIdleHours = 12
/** However much it is used, a session ends then. */
export const sessionAbsoluteDays = 7
