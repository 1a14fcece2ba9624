/** The command whose arguments are passt's, and the name under which softnet takes all its arguments for passt's. */
export const PASST = "passt";
