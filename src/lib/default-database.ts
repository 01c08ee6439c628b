/** The database of MongoDB if the connection string names none. (The driver's default is "test".) */
export const DEFAULT_DATABASE = "heartbit";
