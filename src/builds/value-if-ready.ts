/** The value of a promise that settles in this turn of the event loop; undefined if it takes longer. */
export function valueIfReady<T>(work: Promise<T>): Promise<{ readonly value: T } | undefined> {
  return new Promise((resolve, reject) => {
    const late = setImmediate(resolve, undefined)
    const settle = async () => {
      try {
        resolve({ value: await work })
      } catch (error) {
        reject(error)
      } finally {
        clearImmediate(late)
      }
    }
    void settle()
  })
}
