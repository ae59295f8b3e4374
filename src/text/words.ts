const joined = (words: readonly string[], last: string): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`

/** `a, b or c` */
export const alternatives = (words: readonly string[]): string => joined(words, 'or')

/** `a, b and c` */
export const listed = (words: readonly string[]): string => joined(words, 'and')

/** The sentence that suggests names for one that does not exist. */
export const suggestionText = (name: string, nearest: readonly string[]): string =>
  `For ${name}, did you mean ${alternatives(nearest)}?`

/** Removes such sentences from a message, for clients that may not see all names. */
export const withoutSuggestions = (text: string): string =>
  text.replace(/ For \S{1,300}, did you mean [^?\n]{1,2000}\?/g, '')
